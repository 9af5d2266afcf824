package siteconfig

import (
	"crypto/x509"
	"encoding/pem"
	"regexp"
	"slices"
	"strings"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/sourcegraph"
)

// connection reads an entry of bitbucketServer. It is not ok when the entry has no usable
// address; then errors say so.
func (c *checker) connection(n *node, before []Connection) (Connection, bool) {
	// No early return: each key has its problems whatever the others are like.
	connection := Connection{
		Archived:        "include",
		GitURLType:      "http",
		ExcludePersonal: c.flag(n, "excludePersonalRepositories", false),
		MaxDeletions:    max(0, c.number(n, "maxDeletions", 0)),
		RequestsPerHour: c.requestsPerHour(n),
		CertificatePEM:  c.certificate(n),
		Pattern:         c.pathPattern(n),
	}
	if text, v := c.text(n, "archived"); v != nil {
		connection.Archived = text
	}
	if text, v := c.text(n, "gitURLType"); v != nil {
		connection.GitURLType = text
	}
	c.selection(n, &connection)
	c.credentials(n, &connection)
	if v := c.value(n, "webhooks"); v != nil {
		connection.WebhookSecret = c.secret(v, "secret")
	}
	connection.Server.Addresses = c.serverAddresses(n)
	if len(connection.Server.Addresses) == 0 {
		return connection, false
	}
	connection.Name = c.name(n, connection.BaseURL())
	connection.Server.Name = connection.Name
	c.warnOfSameNames(n, connection, before)
	return connection, true
}

// serverAddresses returns url and aliases; none when the url is not usable.
func (c *checker) serverAddresses(n *node) []bitbucket.BaseURL {
	var addresses []bitbucket.BaseURL
	add := func(v *node) bool {
		base, err := bitbucket.ParseBaseURL(v.text())
		switch {
		case err != nil:
			c.fault(v, "%v", err)
			return false
		case isPublicCloud(base):
			c.fault(v, "is Bitbucket Cloud, which Signpost does not serve: put the address of your Bitbucket Server or Data Center")
			return false
		case slices.Contains(addresses, base):
			c.warn(v, "is the url or an alias of this connection already: remove it")
			return true
		case c.addresses[base] != "":
			c.fault(v, "is an address of %s already: keep it in one connection", c.addresses[base])
		default:
			c.addresses[base] = n.path
		}
		addresses = append(addresses, base)
		return true
	}
	usable := false
	if v := c.value(n, "url"); v.isString() {
		usable = add(v)
	}
	for _, v := range c.list(n, "aliases") {
		add(v)
	}
	if !usable {
		return nil
	}
	return addresses
}

// maxName is how long the name of a connection may be; it is the name of a folder.
const maxName = 100

var goodName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// name returns the name of a connection, which no other has.
func (c *checker) name(n *node, base bitbucket.BaseURL) string {
	v := n.get("name")
	if v != nil && c.bad[v] {
		return ""
	}
	place, name := n, defaultName(base)
	if v != nil {
		place, name = v, v.text()
		switch {
		case !goodName.MatchString(name):
			c.fault(v, "must be made of letters, digits, dots, underscores and hyphens")
			return ""
		case name == "." || name == "..":
			c.fault(v, "must not be %q, which is the name of a folder already: choose another name", name)
			return ""
		case len(name) > maxName:
			c.fault(v, "must be at most %d characters long", maxName)
			return ""
		}
	}
	lower := strings.ToLower(name) // some file systems do not tell case apart
	switch other := c.names[lower]; {
	case other == "":
		c.names[lower] = n.path
	case v == nil:
		c.fault(place, "has the default name %q, which %s has, too: give it a name of its own", name, other)
	default:
		c.fault(place, "is the name of %s, too (case does not count): choose another name", other)
	}
	return name
}

// defaultName returns host, port and context path of an address, joined by hyphens.
func defaultName(base bitbucket.BaseURL) string {
	name := strings.Map(func(r rune) rune {
		if goodName.MatchString(string(r)) {
			return r
		}
		return '-'
	}, strings.NewReplacer("[", "", "]", "").Replace(base.Host)+base.Path)
	return name[:min(len(name), maxName)]
}

// warnOfSameNames tells of connections whose repositories can get the same names on Sourcegraph.
func (c *checker) warnOfSameNames(n *node, connection Connection, before []Connection) {
	example := func(c Connection) sourcegraph.RepoName {
		return c.Pattern.RepoName(c.BaseURL().HostName(), "PRJ", "repository")
	}
	for _, other := range before {
		shared := slices.ContainsFunc(other.Server.Addresses, func(a bitbucket.BaseURL) bool {
			return slices.Contains(connection.Server.Addresses, a) // faulted already
		})
		if !shared && strings.EqualFold(string(example(connection)), string(example(other))) {
			c.warn(n, "gives repositories the same names on Sourcegraph as the connection %q (%s): make their repositoryPathPattern differ",
				other.Name, example(connection))
			return
		}
	}
}

func (c *checker) pathPattern(n *node) sourcegraph.PathPattern {
	text, v := c.text(n, "repositoryPathPattern")
	pattern, err := sourcegraph.ParsePathPattern(text)
	if err != nil {
		c.fault(v, "%v", err)
	}
	return pattern
}

// requestsPerHour returns the rate limit, 0 for none.
func (c *checker) requestsPerHour(n *node) int {
	limit := c.value(n, "rateLimit")
	if limit == nil {
		return defaultRequestsPerHour
	}
	requests := c.number(limit, "requestsPerHour", defaultRequestsPerHour)
	if !c.flag(limit, "enabled", true) {
		return 0
	}
	if requests == 0 {
		c.fault(limit.get("requestsPerHour"), `must be at least 1: to lift the limit, set "enabled" to false`)
	}
	return requests
}

// certificate returns the certificates that are trusted beside the system's.
func (c *checker) certificate(n *node) string {
	text, v := c.text(n, "certificate")
	if v == nil {
		return ""
	}
	rest, count := []byte(text), 0
	for len(strings.TrimSpace(string(rest))) > 0 {
		block, after := pem.Decode(rest)
		if block == nil {
			c.fault(v, `must hold certificates in PEM form and nothing else: each from "-----BEGIN CERTIFICATE-----" to `+
				`"-----END CERTIFICATE-----", with \n for each line break`)
			return ""
		}
		if block.Type != "CERTIFICATE" {
			// The type is not repeated: it is text of an administrator's, next to a key.
			c.fault(v, "holds something other than certificates, perhaps a private key: leave only the certificates")
			return ""
		}
		count++
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			c.fault(v, "holds as number %d a certificate that cannot be read: copy it again, whole", count)
			return ""
		}
		rest = after
	}
	return text
}
