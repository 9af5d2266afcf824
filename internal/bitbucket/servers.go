package bitbucket

import (
	"cmp"
	"slices"
	"strings"
)

// Server is one Bitbucket as browsers and git reach it.
type Server struct {
	Name      string    // of its connection
	Addresses []BaseURL // the configured one first, then its aliases
}

// Servers is a set of Bitbuckets whose URLs can be parsed. It does not change and is safe
// for concurrent use. The zero Servers is empty.
type Servers struct {
	https map[string][]mount  // by BaseURL.Host, the longest context path first
	http  map[string][]mount  // likewise
	names map[string][]string // connections by host name without port, in order
}

// mount is a server at a context path.
type mount struct {
	path       string
	connection string
}

// NewServers returns the set of the given servers, whose addresses come from
// ParseBaseURL. Of two servers with one address, the first gets it.
func NewServers(servers []Server) *Servers {
	s := &Servers{https: map[string][]mount{}, http: map[string][]mount{}, names: map[string][]string{}}
	for _, server := range servers {
		for _, address := range server.Addresses {
			hosts := s.http
			if address.Scheme == "https" {
				hosts = s.https
			}
			hosts[address.Host] = append(hosts[address.Host], mount{address.Path, server.Name})
			name, _ := splitPort(address.Host)
			if !slices.Contains(s.names[name], server.Name) {
				s.names[name] = append(s.names[name], server.Name)
			}
		}
	}
	for _, hosts := range []map[string][]mount{s.https, s.http} {
		for _, mounts := range hosts {
			// Stable, so that the first server keeps an address that two have.
			slices.SortStableFunc(mounts, func(a, b mount) int { return cmp.Compare(len(b.path), len(a.path)) })
		}
	}
	return s
}

// ParseURL reads a URL of one of the servers. The error is ErrInvalidURL, ErrUnknownHost
// or ErrUnsupportedPage, wrapped with the reason; no error echoes user info.
func (s *Servers) ParseURL(raw string) (Location, error) {
	raw = strings.TrimSpace(raw)
	if err := checkText(raw); err != nil {
		return Location{}, err
	}
	scheme, rest := cutScheme(raw)
	var (
		location Location
		err      error
	)
	switch scheme {
	case "https":
		err = s.parseWeb(&location, scheme, s.https, rest)
	case "http":
		err = s.parseWeb(&location, scheme, s.http, rest)
	case "ssh":
		err = s.parseSSH(&location, rest)
	default:
		err = s.parseSCP(&location, raw)
	}
	if err != nil {
		return Location{}, err
	}
	return location, nil
}

// parseWeb reads what follows http:// or https://.
func (s *Servers) parseWeb(location *Location, scheme string, hosts map[string][]mount, rest string) error {
	authority, rest, err := cutAuthority(rest)
	if err != nil {
		return err
	}
	rest, fragment, _ := strings.Cut(rest, "#")
	path, query, _ := strings.Cut(rest, "?")

	// Hosts are kept as they are usually written, so that most URLs need no other spelling.
	mounts, known := hosts[authority]
	if !known {
		host, err := normalHost(scheme, authority)
		if err != nil {
			return errInvalidHost
		}
		mounts = hosts[host]
	}
	if path, err = cleanPath(path); err != nil {
		return err
	}
	for _, m := range mounts {
		page, ok := strings.CutPrefix(path, m.path)
		if ok && (page == "" || page[0] == '/') {
			location.Connection = m.connection
			return location.parsePage(page, query, fragment)
		}
	}
	return unknownHost(authority, path, query, fragment)
}
