package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"example.com/signpost/internal/bitbucket"
)

// repositoryJSON is a repository as Bitbucket sends it, as far as it matters.
type repositoryJSON struct {
	ID            number          `json:"id"`
	Slug          string          `json:"slug"`
	Name          string          `json:"name"`
	State         string          `json:"state"`
	Archived      bool            `json:"archived"`      // from 8.0 on
	Origin        json.RawMessage `json:"origin"`        // of a fork
	LabelableType string          `json:"labelableType"` // in lists by label only
	Project       *struct {
		Key  string `json:"key"`
		Name string `json:"name"`
		Type string `json:"type"`
	} `json:"project"`
	Links json.RawMessage `json:"links"` // lenient: they are odd in some versions
}

var errNoRepository = errors.New("a repository lacks its id, its slug or its project")

// repository returns what the rest of the program knows a repository by.
func (c *Client) repository(raw repositoryJSON) (bitbucket.Repository, error) {
	if raw.ID <= 0 || raw.Project == nil || !isName(raw.Slug) || !isName(raw.Project.Key) {
		return bitbucket.Repository{}, errNoRepository
	}
	r := bitbucket.Repository{
		ID:          bitbucket.RepoID{Connection: c.opts.Connection, Number: int64(raw.ID)},
		Address:     bitbucket.Address{Key: raw.Project.Key, Slug: raw.Slug},
		Name:        raw.Name,
		ProjectName: raw.Project.Name,
		Personal:    raw.Project.Type == "PERSONAL" || strings.HasPrefix(raw.Project.Key, "~"),
		State:       bitbucket.State(raw.State),
		Archived:    raw.Archived,
		Fork:        len(raw.Origin) > 0 && string(raw.Origin) != "null",
	}
	if r.State == "" {
		r.State = bitbucket.StateAvailable
	}
	r.CloneHTTP, r.CloneSSH = cloneLinks(c.opts.BaseURL, r.Address, raw.Links)
	return r, nil
}

// isName tells whether s can be a project's key or a repository's slug: one segment of a path.
func isName(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsAny(s, `/\`) && !strings.ContainsFunc(s, unicode.IsControl)
}

// Repository asks for one repository. The answer's id, key and slug are the true ones: an
// address is spelt in any case, and a renamed or moved repository answers to its old one
// from 5.0 on. It is ArchivedUnknown when the label "archived" could never be read. ErrNotFound.
func (c *Client) Repository(ctx context.Context, address bitbucket.Address) (bitbucket.Repository, error) {
	path, err := repositoryPath(address, "")
	if err != nil {
		return bitbucket.Repository{}, err
	}
	found, err := c.repositoryAt(ctx, path)
	if user, ok := strings.CutPrefix(address.Key, "~"); ok && (errors.Is(err, bitbucket.ErrNotFound) || isStatus(err, http.StatusInternalServerError)) {
		// A moved personal repository answers 500 at its first address on some versions
		// (BSERV-11763), and redirects at the second.
		if path, err := segments("users", user, "repos", address.Slug); err == nil {
			if second, err := c.repositoryAt(ctx, path); err == nil {
				return second, nil
			}
		}
	}
	return found, err
}

func isStatus(err error, status int) bool {
	var known *answerError
	return errors.As(err, &known) && known.status == status
}

func (c *Client) repositoryAt(ctx context.Context, path string) (bitbucket.Repository, error) {
	var found bitbucket.Repository
	got, err := c.ask(ctx, question{op: "repository", path: path, decode: func(body []byte) error {
		var raw repositoryJSON
		err := json.Unmarshal(body, &raw)
		if err == nil {
			found, err = c.repository(raw)
		}
		return err
	}})
	switch {
	case err != nil:
		return bitbucket.Repository{}, err
	case got.status == http.StatusNoContent:
		return bitbucket.Repository{}, &answerError{
			text: bitbucket.ErrUnavailable.Error() + ": the answer about a repository is empty",
			is:   []error{bitbucket.ErrUnavailable},
		}
	}
	flags, err := c.archivedFlags(ctx)
	if flags == nil {
		return bitbucket.Repository{}, err
	}
	flags.apply(&found)
	return found, nil
}

// cloneLinks returns the addresses to clone from, by http and by ssh, "" for what is off.
//
// Links are chosen by name, since their order differs from one repository to the next.
// Older versions put the caller's name before the host; user info is always dropped.
//
// The http link is the server's word: it names the host that the server was configured
// with, which need not be the one that the administrator of this program wrote down, and
// could be any. Credentials go to the configured address only. So a link elsewhere is turned into the
// same repository below the configured base URL, which is where REST was just answered,
// rather than followed: a wrong guess costs one failed clone, a wrong host a credential.
// An ssh link keeps its host, often another one; there the known host key vouches for it.
func cloneLinks(base bitbucket.BaseURL, address bitbucket.Address, raw json.RawMessage) (http, ssh string) {
	built := base.String() + "/scm/" + url.PathEscape(strings.ToLower(address.Key)) + "/" + url.PathEscape(address.Slug) + ".git"
	var links struct {
		Clone *[]*struct {
			Href string `json:"href"`
			Name string `json:"name"`
		} `json:"clone"`
		Self json.RawMessage `json:"self"`
	}
	if json.Unmarshal(raw, &links) != nil {
		return built, ""
	}
	if links.Clone == nil {
		if links.Self == nil {
			return built, "" // nothing usable, as in payloads without links
		}
		return "", "" // links without clone addresses: http and ssh are both off
	}
	for _, link := range *links.Clone {
		switch {
		case link == nil:
		case link.Name == "http" || link.Name == "https":
			http = httpLink(base, link.Href, built)
		case link.Name == "ssh":
			ssh = sshLink(link.Href)
		}
	}
	return http, ssh
}

// httpLink returns href below base, or built when href is of no use.
func httpLink(base bitbucket.BaseURL, href, built string) string {
	u, err := url.Parse(href)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || hasDotSegment(u.Path) {
		return built
	}
	if _, err := bitbucket.ParseBaseURL(u.Scheme + "://" + u.Host); err != nil {
		return built
	}
	path := u.EscapedPath()
	at := strings.LastIndex(path, "/scm/")
	if at < 0 {
		return built
	}
	tail := strings.Split(path[at+len("/scm/"):], "/")
	if len(tail) != 2 || tail[0] == "" || tail[1] == "" {
		return built
	}
	return base.String() + path[at:]
}

// sshLink returns href without a password, or "" when it is no ssh address.
func sshLink(href string) string {
	u, err := url.Parse(href)
	if err != nil || u.Scheme != "ssh" {
		return ""
	}
	if _, err := bitbucket.ParseBaseURL("https://" + u.Host); err != nil {
		return "" // no host
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	u.RawQuery, u.Fragment = "", ""
	return u.String()
}
