package resolver

import (
	"errors"
	"fmt"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/sourcegraph"
)

// Config is the part of the site configuration that links depend on.
type Config struct {
	// Version is the version of the site configuration, for logs and Stats.
	Version int64
	// Primary is the Sourcegraph that every link goes to. Without one there are no links.
	Primary sourcegraph.Instance
	// Connections are the Bitbuckets whose URLs are resolved, in the order of the site configuration.
	Connections []Connection
}

// Connection is a Bitbucket, and how Sourcegraph names its repositories.
type Connection struct {
	Server  bitbucket.Server
	Pattern sourcegraph.PathPattern
}

// configuration is a Config made ready. It does not change.
type configuration struct {
	version     int64
	primary     sourcegraph.Instance
	servers     *bitbucket.Servers
	connections map[string]*connection
}

type connection struct {
	name    string
	host    string // what {host} stands for
	pattern sourcegraph.PathPattern
}

// repoName returns the name of a repository on Sourcegraph.
func (c *connection) repoName(address bitbucket.Address) sourcegraph.RepoName {
	return c.pattern.RepoName(c.host, address.Key, address.Slug)
}

func newConfiguration(c Config) (*configuration, error) {
	made := &configuration{
		version:     c.Version,
		primary:     c.Primary,
		connections: make(map[string]*connection, len(c.Connections)),
	}
	servers := make([]bitbucket.Server, 0, len(c.Connections))
	for i, conn := range c.Connections {
		name := conn.Server.Name
		switch {
		case name == "":
			return nil, fmt.Errorf("resolver: connection %d has no name", i)
		case made.connections[name] != nil:
			return nil, fmt.Errorf("resolver: two connections are named %q: give each its own name", name)
		case len(conn.Server.Addresses) == 0:
			return nil, fmt.Errorf("resolver: connection %q has no address", name)
		}
		made.connections[name] = &connection{
			name:    name,
			host:    conn.Server.Addresses[0].HostName(),
			pattern: conn.Pattern,
		}
		servers = append(servers, conn.Server)
	}
	made.servers = bitbucket.NewServers(servers)
	return made, nil
}

// parse reads a URL. An invalid one is invalid under any configuration; of the rest,
// none has a link as long as there is no primary URL.
func (c *configuration) parse(raw string) (bitbucket.Location, error) {
	page, err := c.servers.ParseURL(raw)
	switch {
	case err != nil && errors.Is(err, bitbucket.ErrInvalidURL):
		return page, err
	case c.primary.IsZero():
		return page, ErrPrimaryURLNotSet
	}
	return page, err
}
