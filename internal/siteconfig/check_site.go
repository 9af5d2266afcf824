package siteconfig

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/sourcegraph"
)

// site reads the whole configuration.
func (c *checker) site(root *node) *Config {
	config := &Config{
		RepoListUpdateInterval: time.Duration(c.number(root, "repoListUpdateInterval", defaultListMinutes)) * time.Minute,
		MaxConcurrentClones:    c.number(root, "gitMaxConcurrentClones", defaultClones),
		DisableAutoGitUpdates:  c.flag(root, "disableAutoGitUpdates", false),
		GitEngine:              EngineAuto,
		MirrorGrace:            time.Duration(c.number(root, "mirrorGraceDays", defaultGraceDays)) * 24 * time.Hour,
		MinFreeDiskPercent:     c.number(root, "minFreeDiskPercent", defaultFreePercent),
		MemoryBudget:           int64(c.number(root, "memoryBudgetMiB", defaultMemoryMiB)) << 20,
	}
	if engine, n := c.text(root, "gitEngine"); n != nil {
		config.GitEngine = engine
	}
	for _, n := range c.list(root, "bitbucketServer") {
		if connection, ok := c.connection(n, config.Connections); ok {
			config.Connections = append(config.Connections, connection)
		}
	}
	config.ExternalURL = c.externalURL(root)
	config.Primary = c.primaryURL(root)
	config.CORSOrigins = c.corsOrigins(root, config.Connections)
	return config
}

func (c *checker) externalURL(root *node) string {
	text, n := c.text(root, "externalURL")
	if n == nil {
		return ""
	}
	base, err := bitbucket.ParseBaseURL(text) // the same rules: scheme, host, port and path
	if err != nil {
		c.fault(n, "%s", addressMend(text))
		return ""
	}
	return base.String()
}

// addressMend says what is wrong with an address that bitbucket.ParseBaseURL refused and
// that is not of a Bitbucket.
func addressMend(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	authority, path, _ := strings.Cut(rest, "/")
	switch {
	case !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https"):
		return "must begin with https:// or http://"
	case strings.ContainsFunc(text, unicode.IsSpace):
		return "holds white space: remove it"
	case strings.Contains(rest, "?"):
		return "holds a query: remove the ? and what follows it"
	case strings.Contains(rest, "#"):
		return "holds a fragment: remove the # and what follows it"
	case strings.Contains(authority, "@"):
		return "holds user info: remove what stands before the @"
	case path != "":
		return "is not a valid address: write scheme, host, port and path in plain characters"
	}
	return "is not a valid address: write it as https://signpost.example.com or https://signpost.example.com:8443"
}

func (c *checker) primaryURL(root *node) sourcegraph.Instance {
	text, n := c.text(root, "primaryURL")
	if n == nil {
		return sourcegraph.Instance{}
	}
	primary, err := sourcegraph.ParseInstance(text)
	switch {
	case errors.Is(err, sourcegraph.ErrSourcegraphDotCom):
		c.fault(n, "%v", sourcegraph.ErrSourcegraphDotCom)
	case err != nil:
		c.fault(n, "is %v", err)
	default:
		if base, err := bitbucket.ParseBaseURL(primary.String()); err == nil && c.addresses[base] != "" {
			c.warn(n, "is an address of the Bitbucket of %s, so that links go back there: put the address of your Sourcegraph", c.addresses[base])
		}
	}
	return primary
}

// corsOrigins returns the origins whose pages may call the API.
func (c *checker) corsOrigins(root *node, connections []Connection) []string {
	var origins []string
	add := func(origin string) {
		if !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	text, n := c.text(root, "corsOrigin")
	if strings.TrimSpace(text) == "" {
		for _, connection := range connections {
			for _, address := range connection.Server.Addresses {
				add(address.Scheme + "://" + address.Host)
			}
		}
		return origins
	}
	for origin := range strings.FieldsSeq(text) {
		base, err := bitbucket.ParseBaseURL(origin)
		switch {
		case strings.Contains(origin, "*"):
			c.fault(n, `must not hold "*", which would let pages of other sites in: name each origin`)
		case isPlaceholder(origin) || hasPlaceholder(origin):
			c.fault(n, "still holds a placeholder, as its angle brackets tell: fill in the address of your Bitbucket")
		case strings.ContainsAny(origin, ",;"):
			c.fault(n, "separates origins by something other than spaces: write only spaces between them")
		case strings.EqualFold(origin, "null"):
			c.fault(n, `must not hold "null", which pages of any site can send: name each origin`)
		case err != nil:
			c.fault(n, "holds an origin that %s", addressMend(origin))
		case base.Path != "":
			c.fault(n, "holds an origin with a path: write %s", base.Scheme+"://"+base.Host)
		default:
			add(base.Scheme + "://" + base.Host)
		}
	}
	return origins
}

// isPublicCloud tells whether an address is of Bitbucket Cloud, another product.
func isPublicCloud(base bitbucket.BaseURL) bool {
	host := base.HostName()
	return host == "bitbucket.org" || strings.HasSuffix(host, ".bitbucket.org")
}
