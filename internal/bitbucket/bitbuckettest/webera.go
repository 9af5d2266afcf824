package bitbuckettest

import (
	"fmt"
	"html/template"
	"strings"
)

// era is what is known of the mark-up of the web pages of some versions. A page has ids and
// classes of Bitbucket where they are known, and none that was made up: elsewhere its classes begin
// with "double-", and a comment in it says what is not known. AUI is documented, so all pages
// are built of its classes.
type era struct {
	name  string // as comments spell it
	major int
	from  version
	// known are the ids (with #) and classes of Bitbucket that were seen, or read in the code of
	// those who change its pages.
	known string
	// unknown says of which pages nothing is known, by the kind of the page.
	unknown map[pageKind]string
	// auiVersion is what body[data-aui-version] holds, "" where that is not known.
	auiVersion string
	// react: the page of a pull request is drawn by React, which throws away what it did not draw.
	react bool
	// colorMode: AUI's design tokens are there, which data-color-mode switches.
	colorMode bool
}

// stable are the places that are in every source from 5.15.1 to 2026.
const stable = "branch-selector-toolbar #repository-layout-revision-selector #branch-actions pull-request-actions "

// eras are ordered from the newest to the oldest.
var eras = []era{
	{
		// Code of 2024 to 2026 that puts buttons into pages.
		name: "9.x", major: 9, from: version{9, 0, 0}, react: true, colorMode: true,
		known: stable + "bitbucket-header-logo #pull-requests-container pull-request-header-bar pull-request-more-actions " +
			"#commit-details-container commit-details-summary-panel",
		unknown: map[pageKind]string{pageFile: "the view of a file", pagePull: "the tabs and the files of a pull request"},
	},
	{
		name: "8.x", major: 8, from: version{8, 9, 0}, react: true, colorMode: true,
		known:   stable + "bitbucket-header-logo #commit-details-container commit-details-summary-panel",
		unknown: map[pageKind]string{pageFile: "the view of a file", pagePull: "a pull request but its actions"},
	},
	{
		name: "8.x before 8.9", major: 8, from: version{8, 0, 0}, react: true, colorMode: true,
		known:   stable + "bitbucket-header-logo",
		unknown: map[pageKind]string{pageFile: "the view of a file", pagePull: "a pull request but its actions", pageCommit: "a commit"},
	},
	{
		// 7.11.2. The header of its new page of a pull request is not known, so it has no place there.
		name: "7.x", major: 7, from: version{7, 0, 0}, react: true,
		known: "branch-selector-toolbar #repository-layout-revision-selector #branch-actions bitbucket-header-logo " +
			"change-view change-header diff-actions",
		unknown: map[pageKind]string{pageFile: "the view of a file", pagePull: "the header and the tabs of a pull request", pageCommit: "a commit"},
	},
	{
		name: "6.x", major: 6, from: version{6, 0, 0},
		known:   stable + "bitbucket-header-logo",
		unknown: map[pageKind]string{pageFile: "the view of a file", pagePull: "a pull request but its actions", pageCommit: "a commit"},
	},
	{
		// Saved pages of 5.15.1.
		name: "5.x", major: 5, from: version{5, 0, 0}, auiVersion: "7.6.3",
		known: stable + "bitbucket-header-logo #product-version application-name section-data repository-breadcrumbs " +
			"#file-content #commit-file-content file-content file-toolbar primary secondary mode-toggle mode-source mode-diff " +
			"raw-view-link file-blame source-view-link content-view source-view diff-view line line-number line-locator " +
			"line-number-from line-number-to line-number-marker breadcrumbs revision-ref " +
			"#pull-request-header pull-request-page-tabs menu-item",
		unknown: map[pageKind]string{pageCommit: "a commit"},
	},
	{
		// What Sourcegraph's extension of 2018 looked for.
		name: "4.x", major: 4,
		known:   "aui-header-logo aui-header-logo-bitbucket repository-breadcrumbs aui-page-header-actions pull-request-actions file-toolbar secondary",
		unknown: map[pageKind]string{pageFile: "the view of a file but its toolbar", pagePull: "a pull request but its actions", pageCommit: "a commit"},
	},
}

// eraOf returns the era of a version.
func eraOf(v version) *era {
	for i := range eras {
		if v.atLeast(eras[i].from.major, eras[i].from.minor, eras[i].from.patch) {
			return &eras[i]
		}
	}
	return &eras[len(eras)-1]
}

// Knows tells whether an id (with #) or a class is known.
func (e *era) Knows(name string) bool {
	for known := range strings.FieldsSeq(e.known) {
		if known == name {
			return true
		}
	}
	return false
}

// Class returns the classes of names that are known; the others get the double's prefix.
func (e *era) Class(names ...string) string {
	classes := make([]string, len(names))
	for i, name := range names {
		if !e.Knows(name) {
			name = "double-" + name
		}
		classes[i] = name
	}
	return strings.Join(classes, " ")
}

// ID returns the attribute id for a name that is known, otherwise nothing.
func (e *era) ID(name string) template.HTMLAttr {
	if !e.Knows("#" + name) {
		return ""
	}
	return template.HTMLAttr(`id="` + name + `"`) //nolint:gosec // names stand in the templates
}

// Number is the era's first number.
func (e *era) Number() int { return e.major }

// AUIVersion returns what body[data-aui-version] holds, "" where it is not known.
func (e *era) AUIVersion() string { return e.auiVersion }

// React tells whether the page of a pull request is drawn by React.
func (e *era) React() bool { return e.react }

// ColorMode tells whether data-color-mode counts.
func (e *era) ColorMode() bool { return e.colorMode }

// knownPages are the pages whose mark-up is known in some era, at least in part.
var knownPages = map[pageKind]bool{
	pageFiles: true, pageFile: true, pageFileDiff: true, pageCommit: true, pagePull: true,
}

// Comment returns the comment of a page that says what is not known of it.
func (e *era) Comment(kind pageKind) template.HTML {
	what := "this page"
	if knownPages[kind] {
		if kind == pageFileDiff {
			kind = pageFile
		}
		if what = e.unknown[kind]; what == "" {
			return ""
		}
	}
	return template.HTML(fmt.Sprintf("<!-- The double of Bitbucket: the real mark-up of %s is not known of %s. Nothing stands in for it; "+ //nolint:gosec // fixed texts
		"classes that begin with double- are the double's own. -->", what, e.name))
}
