package bitbuckettest

import (
	"errors"
	"fmt"
	"strings"
)

// User describes an account. Name is required; an account without a password cannot log
// in with one.
type User struct {
	ID          int64 // the next free number if 0
	Name        string
	Slug        string // Name in lower case, with what a slug cannot hold replaced, if empty
	DisplayName string // Name if empty
	Email       string // left out of answers if empty
	Password    string
	Tokens      []string // access tokens; wrong passwords before 5.5
	SSHKeys     []string // lines of authorized_keys, for Options.SSH
	Admin       bool     // sees every repository
	Service     bool     // the type is SERVICE instead of NORMAL
}

type user struct {
	User
	failures int // failed logins in a row
}

// AddUser adds an account and returns it with its defaults filled in.
func (s *Server) AddUser(u User) (User, error) {
	if u.Name == "" {
		return User{}, errors.New("bitbuckettest: a user needs a name")
	}
	if u.Slug == "" {
		u.Slug = slugOf(u.Name)
	}
	if u.DisplayName == "" {
		u.DisplayName = u.Name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[strings.ToLower(u.Name)] != nil {
		return User{}, fmt.Errorf("bitbuckettest: there is a user %q already", u.Name)
	}
	if u.ID == 0 {
		s.lastUserID++
		u.ID = s.lastUserID
	}
	s.lastUserID = max(s.lastUserID, u.ID)
	s.users[strings.ToLower(u.Name)] = &user{User: u}
	return u, nil
}

// SetPassword changes a password. Tokens stay.
func (s *Server) SetPassword(name, password string) error {
	return s.changeUser(name, func(u *user) { u.Password = password })
}

// SetTokens replaces the access tokens of an account; with none, all are revoked.
func (s *Server) SetTokens(name string, tokens ...string) error {
	return s.changeUser(name, func(u *user) { u.Tokens = tokens })
}

// ClearCaptcha unlocks an account, as logging in by hand and solving the CAPTCHA does.
func (s *Server) ClearCaptcha(name string) error {
	return s.changeUser(name, func(u *user) { u.failures = 0 })
}

func (s *Server) changeUser(name string, change func(*user)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[strings.ToLower(name)]
	if u == nil {
		return fmt.Errorf("bitbuckettest: there is no user %q", name)
	}
	change(u)
	return nil
}

// slugOf makes a slug of a name as Bitbucket does: lower case, other characters replaced.
func slugOf(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', strings.ContainsRune("._-@~", r):
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r == ' ':
			return '-'
		default:
			return '_'
		}
	}, name)
}

// userBySlug is called with mu held.
func (s *Server) userBySlug(slug string) *user {
	for _, u := range s.users {
		if strings.EqualFold(u.Slug, slug) {
			return u
		}
	}
	return nil
}
