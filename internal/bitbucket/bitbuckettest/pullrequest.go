package bitbuckettest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// PullRequest describes a pull request.
type PullRequest struct {
	Number         int64 // the next free one of the repository if 0
	Title          string
	Description    string
	State          string // OPEN, MERGED or DECLINED; OPEN if empty
	Draft          bool   // shown from 8.18 on
	Author         string // name of a user; the first administrator if empty
	From           string // short name of the branch that it comes from
	FromRepository string // KEY/slug of the fork that it comes from; "" is the same repository
	To             string // short name of the branch that it goes to; "" is the default branch
	// FromCommit and ToCommit are hashes. Those of an open pull request follow its
	// branches; those of a closed one stay, and are required if a branch is gone.
	FromCommit string
	ToCommit   string
}

type pullRequest struct {
	PullRequest
	version int64
	created time.Time
	author  *user
	from    *repository // nil when it was deleted
	to      *repository
}

// AddPullRequest adds a pull request to a repository and returns it with its defaults
// filled in. Before 7.0 its refs appear at once, later when somebody looks at it.
func (s *Server) AddPullRequest(address string, d PullRequest) (PullRequest, error) {
	p, err := s.newPullRequest(address, d)
	if err != nil {
		return PullRequest{}, err
	}
	if err := s.resolvePullRequest(p, true); err != nil {
		return PullRequest{}, err
	}
	s.mu.Lock()
	r := p.to
	if p.Number == 0 {
		for number := range r.pulls {
			p.Number = max(p.Number, number)
		}
		p.Number++
	}
	if r.pulls[p.Number] != nil {
		s.mu.Unlock()
		return PullRequest{}, fmt.Errorf("bitbuckettest: %s has a pull request %d already", address, p.Number)
	}
	p.created = firstCommitTime.AddDate(0, 1, int(p.Number))
	r.pulls[p.Number] = p
	description := p.PullRequest
	if p.State == "OPEN" {
		s.announcePullRequest(p, "pr:opened")
	}
	s.mu.Unlock()
	if !s.switches.lazyPullRefs {
		if err := s.writePullRefs(context.Background(), p); err != nil {
			return PullRequest{}, err
		}
	}
	return description, nil
}

func (s *Server) newPullRequest(address string, d PullRequest) (*pullRequest, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, err := s.repositoryAt(address)
	if err != nil {
		return nil, err
	}
	p := &pullRequest{PullRequest: d, from: r, to: r}
	if d.FromRepository != "" {
		if p.from, err = s.repositoryAt(d.FromRepository); err != nil {
			return nil, err
		}
	}
	if p.From == "" {
		return nil, errors.New("bitbuckettest: a pull request needs the branch that it comes from")
	}
	if p.State == "" {
		p.State = "OPEN"
	}
	if p.To == "" {
		p.To = r.DefaultBranch
	}
	if p.Title == "" {
		p.Title = strings.ReplaceAll(p.From, "/", " ")
	}
	if p.author = s.users[strings.ToLower(d.Author)]; d.Author != "" && p.author == nil {
		return nil, fmt.Errorf("bitbuckettest: the author %q of a pull request is no user", d.Author)
	}
	if p.author == nil {
		for _, u := range s.users {
			if p.author == nil || u.ID < p.author.ID {
				p.author = u
			}
		}
	}
	if p.author == nil {
		return nil, errors.New("bitbuckettest: a pull request needs a user as its author")
	}
	p.Author = p.author.Name
	return p, nil
}

// resolvePullRequest finds the hashes that p lacks; those of an open one are looked up
// again. A branch that is gone keeps the hash that was known.
func (s *Server) resolvePullRequest(p *pullRequest, isNew bool) error {
	s.mu.RLock()
	from, to, d := p.from, p.to, p.PullRequest
	s.mu.RUnlock()
	resolve := func(r *repository, branch, known string) (string, error) {
		if r == nil || known != "" && (isNew || d.State != "OPEN") {
			return known, nil
		}
		dir, err := s.ensured(r)
		if err != nil {
			return "", err
		}
		hash, err := s.revParse(context.Background(), dir, "refs/heads/"+branch)
		if err != nil && known != "" {
			return known, nil
		}
		return hash, err
	}
	fromCommit, err := resolve(from, d.From, d.FromCommit)
	if err != nil {
		return err
	}
	toCommit, err := resolve(to, d.To, d.ToCommit)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !isNew && (p.FromCommit != fromCommit || p.ToCommit != toCommit) {
		p.version++
	}
	before := p.FromCommit
	p.FromCommit, p.ToCommit = fromCommit, toCommit
	if !isNew && before != fromCommit && s.switches.fromRefUpdated {
		s.announcePullRequest(p, "pr:from_ref_updated", field("previousFromHash", before))
	}
	return nil
}

// refreshPullRequests makes the open pull requests from and to r follow its branches.
func (s *Server) refreshPullRequests(r *repository) error {
	s.mu.RLock()
	var open []*pullRequest
	for _, other := range s.repositories {
		for _, p := range other.pulls {
			if p.State == "OPEN" && (p.from == r || p.to == r) {
				open = append(open, p)
			}
		}
	}
	s.mu.RUnlock()
	for _, p := range open {
		if err := s.resolvePullRequest(p, false); err != nil {
			return err
		}
		if s.switches.lazyPullRefs {
			continue
		}
		if err := s.writePullRefs(context.Background(), p); err != nil {
			return err
		}
	}
	return nil
}

// ClosePullRequest declines (or, with merged, marks as merged) a pull request. Its hashes
// stay what they are.
func (s *Server) ClosePullRequest(address string, number int64, merged bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.repositoryAt(address)
	if err != nil {
		return err
	}
	p := r.pulls[number]
	if p == nil {
		return fmt.Errorf("bitbuckettest: %s has no pull request %d", address, number)
	}
	event := "pr:declined"
	p.State = "DECLINED"
	if merged {
		event, p.State = "pr:merged", "MERGED"
	}
	p.version++
	s.announcePullRequest(p, event)
	return nil
}

// writePullRefs writes refs/pull-requests/N/from, and /merge while it is open, into the
// repository that the pull request goes to.
func (s *Server) writePullRefs(ctx context.Context, p *pullRequest) error {
	s.mu.RLock()
	d, from, to := p.PullRequest, p.from, p.to
	s.mu.RUnlock()
	switch from {
	case to:
		to.git.Lock()
		defer to.git.Unlock()
	case nil: // the fork is gone; what was not fetched from it in time is lost
		to.git.Lock()
		defer to.git.Unlock()
		if _, err := s.revParse(ctx, to.dir, d.FromCommit+"^0"); err != nil {
			return nil
		}
	default:
		source, err := s.ensured(from)
		if err != nil {
			return err
		}
		to.git.Lock()
		defer to.git.Unlock()
		// The commit itself is asked for: the branch may have moved since it was closed.
		if _, err := s.git.run(ctx, to.dir, nil, "-c", "protocol.version=0", "fetch", "--quiet", "--no-write-fetch-head", "--no-tags",
			"--upload-pack=git -c uploadpack.allowAnySHA1InWant=true upload-pack", source, d.FromCommit); err != nil {
			return err
		}
	}
	prefix := "refs/pull-requests/" + strconv.FormatInt(d.Number, 10)
	if err := s.updateRef(to.dir, prefix+"/from", d.FromCommit); err != nil {
		return err
	}
	if d.State != "OPEN" {
		if _, err := s.revParse(ctx, to.dir, prefix+"/merge"); err == nil {
			return s.deleteRef(to.dir, prefix+"/merge")
		}
		return nil
	}
	merge, err := s.git.run(ctx, to.dir, nil, "commit-tree", d.FromCommit+"^{tree}",
		"-p", d.ToCommit, "-p", d.FromCommit, "-m", "Automatic merge")
	if err != nil {
		return err
	}
	return s.updateRef(to.dir, prefix+"/merge", strings.TrimSpace(merge))
}
