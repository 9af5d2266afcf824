package bitbuckettest

import (
	"errors"
	"fmt"
	"strings"
)

// Project describes a project. A personal project has an Owner, and its Key is "~" and
// the owner's name in upper case.
type Project struct {
	ID          int64 // the next free number if 0
	Key         string
	Name        string // Key, or the owner's display name, if empty
	Description string
	Owner       string // name of the user whose personal project it is
	Public      bool   // readable without login
	// Readers are the names of the accounts that may read, beside the owner and the
	// administrators. Nil means every account.
	Readers []string
}

type project struct {
	Project
	owner  *user
	admins []string
}

// AddProject adds a project and returns it with its defaults filled in. It takes its key
// away from a renamed project that had it.
func (s *Server) AddProject(p Project) (Project, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	added := &project{Project: p}
	if p.Owner != "" {
		added.owner = s.users[strings.ToLower(p.Owner)]
		if added.owner == nil {
			return Project{}, fmt.Errorf("bitbuckettest: the owner %q of a personal project is no user", p.Owner)
		}
		if added.Key == "" {
			added.Key = "~" + strings.ToUpper(added.owner.Name)
		}
		if added.Name == "" {
			added.Name = added.owner.DisplayName
		}
	}
	if added.Key == "" {
		return Project{}, errors.New("bitbuckettest: a project needs a key or an owner")
	}
	if strings.HasPrefix(added.Key, "~") != (added.owner != nil) {
		return Project{}, fmt.Errorf("bitbuckettest: project %s: a personal project has an owner and a key with ~, others have neither", added.Key)
	}
	if added.Name == "" {
		added.Name = added.Key
	}
	if s.projects[strings.ToLower(added.Key)] != nil {
		return Project{}, fmt.Errorf("bitbuckettest: there is a project %s already", added.Key)
	}
	if added.ID == 0 {
		s.lastProjectID++
		added.ID = s.lastProjectID
	}
	s.lastProjectID = max(s.lastProjectID, added.ID)
	s.projects[strings.ToLower(added.Key)] = added
	delete(s.projectAliases, strings.ToLower(added.Key))
	s.sorted = nil
	return added.Project, nil
}

// RenameProject gives a project another key. From 5.0 on Bitbucket redirects from the old one.
func (s *Server) RenameProject(key, newKey string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.projects[strings.ToLower(key)]
	switch {
	case p == nil:
		return fmt.Errorf("bitbuckettest: there is no project %s", key)
	case p.owner != nil || strings.HasPrefix(newKey, "~"):
		return fmt.Errorf("bitbuckettest: project %s: a personal project keeps its key", key)
	case newKey == "" || s.projects[strings.ToLower(newKey)] != nil && !strings.EqualFold(key, newKey):
		return fmt.Errorf("bitbuckettest: project %s cannot be called %q", key, newKey)
	}
	delete(s.projects, strings.ToLower(key))
	delete(s.projectAliases, strings.ToLower(newKey))
	for _, r := range s.repositories {
		if r.project == p {
			delete(s.byAddress, r.addressKey())
		}
	}
	if !strings.EqualFold(key, newKey) {
		s.projectAliases[strings.ToLower(key)] = p
	}
	p.Key = newKey
	s.projects[strings.ToLower(newKey)] = p
	for _, r := range s.repositories {
		if r.project == p {
			s.byAddress[r.addressKey()] = r
			delete(s.aliases, r.addressKey())
		}
	}
	s.sorted = nil
	return nil
}

// SetReaders changes who may read a project (its key), or one repository (KEY/slug); nil
// means every account.
func (s *Server) SetReaders(where string, readers []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.Contains(where, "/") {
		r, err := s.repositoryAt(where)
		if err != nil {
			return err
		}
		r.Readers = readers
		return nil
	}
	p := s.projects[strings.ToLower(where)]
	if p == nil {
		return fmt.Errorf("bitbuckettest: there is no project %s", where)
	}
	p.Readers = readers
	return nil
}
