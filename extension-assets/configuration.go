package extension

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

// Why a configuration cannot be packed.
var (
	// ErrNoServerURL means that the site configuration does not say how browsers reach this server.
	ErrNoServerURL = errors.New("externalURL is not set: set it in the site configuration to the address of this server as browsers reach it")
	// ErrNoBitbucket means that there is no page that the extension could work on.
	ErrNoBitbucket = errors.New("no connection is configured: add bitbucketServer to the site configuration")
	// ErrAddress means that an address is none that a browser can be given.
	ErrAddress = errors.New("an address cannot be packed into the extension")
)

// Configuration is what is packed into the extension. Its JSON is what the extension's scripts read.
type Configuration struct {
	ServerURL     string   `json:"serverURL"`     // of this server, without a slash at its end
	BitbucketURLs []string `json:"bitbucketURLs"` // with context paths; addresses and aliases of all connections
}

// addresses is a Configuration that was read: the Bitbuckets are sorted and each is there once, so
// that no order of the site configuration makes another package.
type addresses struct {
	server     bitbucket.BaseURL
	bitbuckets []bitbucket.BaseURL
}

// Check tells why the configuration cannot be packed: ErrNoServerURL, ErrNoBitbucket or ErrAddress.
func (c Configuration) Check() error {
	_, err := c.read()
	return err
}

func (c Configuration) read() (addresses, error) {
	if c.ServerURL == "" {
		return addresses{}, ErrNoServerURL
	}
	if len(c.BitbucketURLs) == 0 {
		return addresses{}, ErrNoBitbucket
	}
	server, err := bitbucket.ParseBaseURL(c.ServerURL)
	if err != nil {
		return addresses{}, fmt.Errorf("%w: externalURL %w", ErrAddress, err)
	}
	a := addresses{server: server}
	for _, raw := range c.BitbucketURLs {
		base, err := bitbucket.ParseBaseURL(raw)
		if err != nil {
			return addresses{}, fmt.Errorf("%w: that of a Bitbucket %w", ErrAddress, err)
		}
		a.bitbuckets = append(a.bitbuckets, base)
	}
	slices.SortFunc(a.bitbuckets, func(x, y bitbucket.BaseURL) int {
		return strings.Compare(x.String(), y.String())
	})
	a.bitbuckets = slices.Compact(a.bitbuckets)
	return a, nil
}

// configuration is a as it is packed.
func (a addresses) configuration() Configuration {
	c := Configuration{ServerURL: a.server.String()}
	for _, b := range a.bitbuckets {
		c.BitbucketURLs = append(c.BitbucketURLs, b.String())
	}
	return c
}

func (c Configuration) equal(other Configuration) bool {
	return c.ServerURL == other.ServerURL && slices.Equal(c.BitbucketURLs, other.BitbucketURLs)
}

// hostPatterns are the match patterns of all hosts that the extension may ask or read, this
// server's first.
func (a addresses) hostPatterns(b Browser) []string {
	patterns := []string{matchPattern(b, a.server, "")}
	for _, base := range a.bitbuckets {
		patterns = appendNew(patterns, matchPattern(b, base, ""))
	}
	return patterns
}

// pagePatterns are the match patterns of the pages that the content scripts run on.
func (a addresses) pagePatterns(b Browser) []string {
	var patterns []string
	for _, base := range a.bitbuckets {
		patterns = appendNew(patterns, matchPattern(b, base, base.Path))
	}
	return patterns
}

// matchPattern is the pattern of everything below a path of an address. Firefox accepts a port in a
// pattern and then matches nothing, so there the pattern is for every port of the host and the content
// script looks at the rest. A star in a context path cannot be escaped and stands for anything, itself
// among it: the content script looks there, too.
func matchPattern(b Browser, base bitbucket.BaseURL, path string) string {
	host := base.Host
	if b == Firefox {
		host = withoutPort(base)
	}
	return base.Scheme + "://" + host + path + "/*"
}

// withoutPort returns the host without its port; an IPv6 address keeps its brackets.
func withoutPort(base bitbucket.BaseURL) string {
	name := base.HostName()
	if base.Host[0] == '[' {
		return "[" + name + "]"
	}
	return name
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// ConfigurationOf returns what a site configuration has the extension packed with.
func ConfigurationOf(c *siteconfig.Config) Configuration {
	packed := Configuration{ServerURL: c.ExternalURL, BitbucketURLs: []string{}}
	for i := range c.Connections {
		for _, address := range c.Connections[i].Server.Addresses {
			packed.BitbucketURLs = append(packed.BitbucketURLs, address.String())
		}
	}
	return packed
}
