package syncer

import (
	"errors"
	"net/url"
	"strings"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

// errNoSSH means that a Bitbucket tells no SSH address.
var errNoSSH = errors.New("this Bitbucket tells no SSH address for the repository")

// cloneURL returns where to fetch a repository from: the address that Bitbucket gave, as
// long as it is on an address of the connection. Bitbucket builds its links from its own configured
// base URL, which may be one that Signpost cannot reach, and the credential must go nowhere
// that no administrator named: any other address is replaced by the connection's own.
//
// An SSH address may be on any host, and often is: knownHosts names those that are trusted, and a key
// is no secret that its server learns. None can be built, as nobody but Bitbucket knows the port.
func cloneURL(c *siteconfig.Connection, r bitbucket.Repository) (string, error) {
	if c.GitURLType == "ssh" {
		if given, err := url.Parse(r.CloneSSH); err != nil || given.Scheme != "ssh" || given.Host == "" {
			return "", errNoSSH
		}
		return r.CloneSSH, nil
	}
	if given, err := url.Parse(r.CloneHTTP); err == nil && given.User == nil && given.RawQuery == "" && given.Fragment == "" {
		for _, base := range c.Server.Addresses {
			if strings.HasPrefix(r.CloneHTTP, base.String()+"/scm/") {
				return r.CloneHTTP, nil
			}
		}
	}
	// Bitbucket's own form: below /scm, the key in lower case.
	return c.BaseURL().String() + "/scm/" + url.PathEscape(strings.ToLower(r.Key)) + "/" + url.PathEscape(r.Slug) + ".git", nil
}
