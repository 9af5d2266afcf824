package bitbucket

import "strings"

// parseSSH reads what follows ssh://: [user@]host[:port]/key/slug.git. The port is that of
// Bitbucket's own SSH server (7999 unless changed), so only the host name counts.
func (s *Servers) parseSSH(location *Location, rest string) error {
	authority, path, err := cutAuthority(rest)
	if err != nil {
		return err
	}
	host, port := splitPort(authority)
	if _, err = portNumber(port); err != nil {
		return errInvalidHost
	}
	clean, err := cleanClonePath(path)
	if err != nil {
		return err
	}
	return s.parseClone(location, host, path, clean)
}

// parseSCP reads user@host:key/slug.git and user@host:port/key/slug.git. Without a user
// it would be hard to tell from other schemes (data:text/html), so there must be one.
func (s *Servers) parseSCP(location *Location, raw string) error {
	user, rest, ok := strings.Cut(raw, "@")
	if !ok || user == "" || strings.ContainsAny(user, `:/\?#`) {
		return errScheme
	}
	colon := strings.IndexByte(rest, ':')
	if strings.HasPrefix(rest, "[") {
		if colon = strings.Index(rest, "]:"); colon >= 0 {
			colon++
		}
	}
	if colon < 0 || strings.ContainsAny(rest[:colon], "/?#") {
		return errScheme
	}
	host, path := rest[:colon], "/"+rest[colon+1:]
	clean, err := cleanClonePath(path)
	if err != nil {
		return err
	}
	// git takes it for a path on the server; Bitbucket has no repository at /7999/key/slug.
	if first, after := shift(clean); isNumber(first) && strings.Count(strings.TrimSuffix(after, "/"), "/") == 2 {
		clean = after
	}
	return s.parseClone(location, host, path, clean)
}

// cleanClonePath is cleanPath for a clone address, without what follows the path.
func cleanClonePath(path string) (string, error) {
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	return cleanPath(path)
}

// parseClone reads the clean path of a clone address, and finds the servers of its host
// name. The path as it was written is for the error only.
func (s *Servers) parseClone(location *Location, host, path, clean string) error {
	name, err := normalHostName(host)
	if err != nil {
		return errInvalidHost
	}
	servers := s.names[name]
	if len(servers) == 0 {
		return unknownHost(host, path)
	}
	location.Connection, location.Others = servers[0], servers[1:len(servers):len(servers)]
	if len(location.Others) == 0 {
		location.Others = nil
	}
	return location.parseClonePath(clean)
}
