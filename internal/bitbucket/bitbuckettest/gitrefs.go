package bitbuckettest

import (
	"context"
	"fmt"
	"strings"
)

// gitRef is a ref of a bare repository.
type gitRef struct {
	name   string // full
	object string
	peeled string // the commit of an annotated tag, otherwise ""
}

func (r gitRef) commit() string {
	if r.peeled != "" {
		return r.peeled
	}
	return r.object
}

// refs lists the refs below the prefixes, ordered by name.
func (s *Server) refs(ctx context.Context, dir string, prefixes ...string) ([]gitRef, error) {
	return s.refsOrdered(ctx, dir, "refname", prefixes...)
}

func (s *Server) refsOrdered(ctx context.Context, dir, order string, prefixes ...string) ([]gitRef, error) {
	args := append([]string{"for-each-ref", "--sort=" + order, "--format=%(refname) %(objectname) %(*objectname)"}, prefixes...)
	out, err := s.git.run(ctx, dir, nil, args...)
	if err != nil {
		return nil, err
	}
	var refs []gitRef
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		refs = append(refs, gitRef{name: fields[0], object: fields[1], peeled: fields[2]})
	}
	return refs, nil
}

// DeleteBranch deletes a branch (its short name).
func (s *Server) DeleteBranch(address, branch string) error {
	return s.changeRefs(address, func(dir string) error { return s.deleteRef(dir, "refs/heads/"+branch) })
}

// DeleteTag deletes a tag.
func (s *Server) DeleteTag(address, tag string) error {
	return s.changeRefs(address, func(dir string) error { return s.deleteRef(dir, "refs/tags/"+tag) })
}

// RenameBranch gives a branch another name. The default branch is not changed with it.
func (s *Server) RenameBranch(address, from, to string) error {
	return s.changeRefs(address, func(dir string) error {
		hash, err := s.revParse(context.Background(), dir, "refs/heads/"+from)
		if err != nil {
			return err
		}
		if err := checkRef("refs/heads/" + to); err != nil {
			return err
		}
		// The old one goes first: "a" becomes "a/b" too.
		if err := s.deleteRef(dir, "refs/heads/"+from); err != nil {
			return err
		}
		return s.updateRef(dir, "refs/heads/"+to, hash)
	})
}

// SetBranch moves a branch to a commit (a hash, or any name that git knows), or makes it.
func (s *Server) SetBranch(address, branch, target string) error {
	return s.changeRefs(address, func(dir string) error {
		hash, err := s.revParse(context.Background(), dir, target+"^{commit}")
		if err != nil {
			return err
		}
		if err := checkRef("refs/heads/" + branch); err != nil {
			return err
		}
		return s.updateRef(dir, "refs/heads/"+branch, hash)
	})
}

// SetDefaultBranch changes the branch that HEAD names. It need not exist.
func (s *Server) SetDefaultBranch(address, branch string) error {
	if err := checkRef("refs/heads/" + branch); err != nil {
		return err
	}
	err := s.changeRefs(address, func(dir string) error {
		_, err := s.git.run(context.Background(), dir, nil, "symbolic-ref", "HEAD", "refs/heads/"+branch)
		return err
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.repositoryAt(address)
	if err != nil {
		return err
	}
	r.DefaultBranch = branch
	return nil
}

func (s *Server) changeRefs(address string, change func(dir string) error) error {
	r, err := s.lockedRepositoryAt(address)
	if err != nil {
		return err
	}
	return s.changeRefsOf(r, func() error { return change(r.dir) })
}

func (s *Server) updateRef(dir, ref, hash string) error {
	_, err := s.git.run(context.Background(), dir, nil, "update-ref", ref, hash)
	return err
}

func (s *Server) deleteRef(dir, ref string) error {
	if _, err := s.revParse(context.Background(), dir, ref); err != nil {
		return err
	}
	_, err := s.git.run(context.Background(), dir, nil, "update-ref", "-d", ref)
	return err
}

// revParse returns the hash of a revision, or an error when there is none.
func (s *Server) revParse(ctx context.Context, dir, revision string) (string, error) {
	if strings.HasPrefix(revision, "-") { // would be an option
		return "", fmt.Errorf("bitbuckettest: the repository has no %q", revision)
	}
	out, err := s.git.run(ctx, dir, nil, "rev-parse", "--verify", "--quiet", revision)
	if err != nil {
		return "", fmt.Errorf("bitbuckettest: the repository has no %q: %w", revision, err)
	}
	return strings.TrimSpace(out), nil
}
