package api

import (
	"html/template"
	"net/http"

	extension "example.com/signpost/extension-assets"
)

const extensionStyle = pageStyle + `body{margin-top:8vh}main{padding-bottom:4rem}h2{font-size:1.1rem;margin-top:2rem}code{font-size:.9em;overflow-wrap:anywhere}.button{display:inline-block;padding:.3rem .9rem;border:1px solid;border-radius:.3rem;text-decoration:none}`

var (
	extensionPage = template.Must(template.New("extension").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Signpost in your browser</title>
<style>{{.Style}}</style>
</head>
<body>
<main>
<h1>Signpost in your browser</h1>
<p>Puts <strong>View on Sourcegraph</strong> on every page of {{range $i, $url := .Configuration.BitbucketURLs}}{{if $i}}, {{end}}<code>{{$url}}</code>{{end}}. It asks <code>{{.Configuration.ServerURL}}</code> and nobody else, and there is nothing to set.</p>

<h2>Chrome and Edge</h2>
<p>To try it: download it for <a href="signpost-chrome.zip" download>Chrome</a> or <a href="signpost-edge.zip" download>Edge</a>, unpack it, open <code>chrome://extensions</code> or <code>edge://extensions</code>, switch the developer mode on and choose <em>Load unpacked</em>.</p>
<p>For everybody, an administrator installs it by policy, and updates come by themselves. Chrome:
<a href="policies/chrome.reg" download>Windows</a>, <a href="policies/chrome.mobileconfig" download>macOS</a>, <a href="policies/chrome.json">Linux</a>. Edge:
<a href="policies/edge.reg" download>Windows</a>, <a href="policies/edge.mobileconfig" download>macOS</a>, <a href="policies/edge.json">Linux</a>. Windows and macOS take a package from outside of the store on managed machines only.</p>

<h2>Firefox</h2>
{{if .XPISigned}}<p><a class="button" href="signpost.xpi">Install</a></p>
{{if ne .XPIVersion .Version}}<p>Mozilla signed version {{.XPIVersion}} of it; {{.Version}} is waiting for an administrator to have it signed.</p>
{{end}}{{else}}<p>Firefox takes add-ons that Mozilla signed, and this one is not yet: an administrator has <a href="signpost-firefox.zip" download>signpost-firefox.zip</a> signed, which is free and needs no listing. To try it before, choose that file under <em>Load Temporary Add-on</em> of <code>about:debugging</code>.</p>
{{end}}<p>For everybody: <a href="policies/firefox.json">policies.json</a>.</p>

<h2>Any browser with a userscript manager</h2>
<p><a href="signpost.user.js">signpost.user.js</a> does the same on the pages, for Tampermonkey, Violentmonkey and Greasemonkey.</p>

<h2>Without installing anything</h2>
<p>Drag this to the bookmarks bar, and click it there on a page of Bitbucket: <a class="button" href="{{.BookmarkletURL}}">View on Sourcegraph</a></p>

<p class="id">version {{.Version}} · Chrome and Edge {{.ChromeID}} · Firefox {{.FirefoxID}}</p>
</main>
</body>
</html>
`))
	extensionPolicy = stylePolicy(extensionStyle)
)

// handleExtensionPage tells people what there is for their browser.
func (s *Server) handleExtensionPage(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Referrer-Policy", "no-referrer")
	packages, err := s.packages(w, r)
	if clientGone(w, r, err) {
		return err
	}
	if err != nil {
		return s.writePage(w, r, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", extensionPolicy)
	w.Header().Set("Cache-Control", "no-cache")
	_ = extensionPage.Execute(w, struct { // fails only when the client has gone
		*extension.Packages
		Style          template.CSS
		BookmarkletURL template.URL // percent-encoded by its maker; the policy of the page lets it run nowhere but in bookmarks
	}{packages, extensionStyle, template.URL(packages.Bookmarklet)})
	return nil
}
