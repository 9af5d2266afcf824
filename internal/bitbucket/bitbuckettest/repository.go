package bitbuckettest

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Repository describes a repository.
type Repository struct {
	ID          int64  // the next free number if 0
	Project     string // key of its project, which must exist
	Slug        string // made from Name if empty
	Name        string // Slug if empty
	Description string
	State       string // AVAILABLE if empty
	Public      bool   // readable without login
	Archived    bool   // shown from 8.0 on; give it the label too for older versions
	Origin      string // KEY/slug of the repository that it is a fork of
	Labels      []string
	// Readers are the names of the accounts that may read, beside the owner and the
	// administrators. Nil means: those who may read the project.
	Readers []string
	// DefaultBranch is the branch that HEAD names, "main" if empty. It may be unborn.
	DefaultBranch string
	// History is what the repository holds; nil means that it is empty.
	History *History
}

type repository struct {
	Repository
	project *project
	origin  *repository
	pulls   map[int64]*pullRequest
	admins  []string

	dir  string     // of the bare repository
	git  sync.Mutex // one writer of dir; taken before the server's mu, never after it
	made bool       // dir is there; guarded by git
}

// Address returns the address of the repository as KEY/slug.
func (r Repository) Address() string { return r.Project + "/" + r.Slug }

// addressKey is the address that lookups compare with, without case.
func (r *repository) addressKey() string {
	return strings.ToLower(r.project.Key + "/" + r.Slug)
}

// description returns what tells others of the repository. Called with mu held.
func (r *repository) description() Repository {
	d := r.Repository
	d.Project = r.project.Key
	return d
}

// AddRepository adds a repository and returns it with its defaults filled in. A fork
// holds what its origin holds, and then its own History. The bare repository of an
// empty one is made when somebody first asks for it.
func (s *Server) AddRepository(d Repository) (Repository, error) {
	r, err := s.addRepository(d)
	if err != nil {
		return Repository{}, err
	}
	if r.origin != nil {
		if err := s.copyObjects(r, r.origin); err != nil {
			return Repository{}, err
		}
	}
	if d.History != nil {
		if _, err := s.push(r, *d.History); err != nil {
			return Repository{}, err
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return r.description(), nil
}

func (s *Server) addRepository(d Repository) (*repository, error) {
	if d.Slug == "" {
		d.Slug = slugOf(d.Name)
	}
	if d.Name == "" {
		d.Name = d.Slug
	}
	if d.Slug == "" || strings.ContainsAny(d.Slug, "/\\") || strings.HasPrefix(d.Slug, ".") {
		return nil, fmt.Errorf("bitbuckettest: a repository cannot be called %q", d.Slug)
	}
	if d.State == "" {
		d.State = "AVAILABLE"
	}
	if d.DefaultBranch == "" {
		d.DefaultBranch = "main"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &repository{Repository: d, project: s.projects[strings.ToLower(d.Project)], pulls: map[int64]*pullRequest{}}
	if r.project == nil {
		return nil, fmt.Errorf("bitbuckettest: there is no project %s for the repository %s", d.Project, d.Slug)
	}
	if s.byAddress[r.addressKey()] != nil {
		return nil, fmt.Errorf("bitbuckettest: there is a repository %s/%s already", d.Project, d.Slug)
	}
	if d.Origin != "" {
		origin, err := s.repositoryAt(d.Origin)
		if err != nil {
			return nil, err
		}
		r.origin = origin
	}
	if d.ID == 0 {
		s.lastRepositoryID++
		r.ID = s.lastRepositoryID
	}
	if s.byID[r.ID] != nil {
		return nil, fmt.Errorf("bitbuckettest: the repository number %d is taken", r.ID)
	}
	s.lastRepositoryID = max(s.lastRepositoryID, r.ID)
	r.History = nil // lives on disk from here on
	r.dir = filepath.Join(s.dir, "repositories", strconv.FormatInt(r.ID, 10))
	s.repositories = append(s.repositories, r)
	s.byID[r.ID] = r
	s.byAddress[r.addressKey()] = r
	delete(s.aliases, r.addressKey())
	s.sorted = nil
	return r, nil
}

// Rename moves a repository: from and to are KEY/slug, and the project of to must exist.
// Its number stays, and so does its name unless the slug changes. From 5.0 on Bitbucket
// answers to the old address until another repository takes it.
func (s *Server) Rename(from, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.repositoryAt(from)
	if err != nil {
		return err
	}
	key, slug, ok := strings.Cut(to, "/")
	target := s.projects[strings.ToLower(key)]
	if !ok || slug == "" || target == nil {
		return fmt.Errorf("bitbuckettest: %s cannot become %q: want the KEY/slug of a project that exists", from, to)
	}
	if other := s.byAddress[strings.ToLower(to)]; other != nil && other != r {
		return fmt.Errorf("bitbuckettest: there is a repository %s already", to)
	}
	announce := s.modifiedAnnouncer(r)
	old := r.addressKey()
	delete(s.byAddress, old)
	r.project = target
	if r.Slug != slug {
		r.Slug, r.Name = slug, slug
	}
	s.byAddress[r.addressKey()] = r
	if old != r.addressKey() {
		s.aliases[old] = r
	}
	delete(s.aliases, r.addressKey())
	s.sorted = nil
	announce()
	return nil
}

// Delete removes a repository with what lies on disk. Its number is not given out again.
func (s *Server) Delete(address string) error {
	r, err := s.forget(address)
	if err != nil {
		return err
	}
	// Not with mu held: whoever holds the repository's git may wait for mu.
	return removeRepository(r)
}

// forget takes a repository out of all that the server knows.
func (s *Server) forget(address string) (*repository, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.repositoryAt(address)
	if err != nil {
		return nil, err
	}
	s.repositories = slices.DeleteFunc(s.repositories, func(other *repository) bool { return other == r })
	s.webhooks = slices.DeleteFunc(s.webhooks, func(h *webhook) bool { return h.repository == r })
	delete(s.byID, r.ID)
	delete(s.byAddress, r.addressKey())
	for alias, target := range s.aliases {
		if target == r {
			delete(s.aliases, alias)
		}
	}
	for _, other := range s.repositories {
		for _, p := range other.pulls {
			if p.from == r {
				p.from = nil
			}
		}
	}
	s.sorted = nil
	return r, nil
}

// Change edits the description of a repository in place: state, labels, archived, name,
// description, readers. What identifies it, and its history, cannot be changed so.
func (s *Server) Change(address string, edit func(*Repository)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.repositoryAt(address)
	if err != nil {
		return err
	}
	d := r.Repository
	edit(&d)
	if d.ID != r.ID || d.Slug != r.Slug || d.Project != r.Project || d.DefaultBranch != r.DefaultBranch || d.History != nil {
		return errors.New("bitbuckettest: use Rename, SetDefaultBranch or Push for that change")
	}
	r.Repository = d
	s.sorted = nil
	return nil
}

// Repository returns the description of a repository: ok tells whether it exists at that
// address, former addresses not counted.
func (s *Server) Repository(address string) (d Repository, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, err := s.repositoryAt(address)
	if err != nil {
		return Repository{}, false
	}
	return r.description(), true
}

// repositoryAt is called with mu held.
func (s *Server) repositoryAt(address string) (*repository, error) {
	r := s.byAddress[strings.ToLower(address)]
	if r == nil {
		return nil, fmt.Errorf("bitbuckettest: there is no repository %q", address)
	}
	return r, nil
}
