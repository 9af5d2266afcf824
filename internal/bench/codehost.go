package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// codeHost is a Bitbucket with real repositories, which both sides fetch from. It runs in this
// process, so that what it costs is on neither side's account.
type codeHost struct {
	server *bitbuckettest.Server
	dir    string
	urls   []string // of git, by number
}

const (
	hostAccount  = "bot"
	hostPassword = "not a secret"
	hostProject  = "PRJ"
)

// newCodeHost starts a Bitbucket with so many repositories. Each gets the content of the template
// that choose names for it.
func (b *bench) newCodeHost(ctx context.Context, name string, count int, choose func(i int) (template string)) (_ *codeHost, err error) {
	h := &codeHost{dir: filepath.Join(b.tmp, name)}
	if err := os.Mkdir(h.dir, 0o700); err != nil {
		return nil, err
	}
	if h.server, err = bitbuckettest.Start(bitbuckettest.Options{Dir: h.dir}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	if _, err := h.server.AddUser(bitbuckettest.User{Name: hostAccount, Password: hostPassword, Admin: true}); err != nil {
		return nil, err
	}
	if _, err := h.server.AddProject(bitbuckettest.Project{Key: hostProject}); err != nil {
		return nil, err
	}
	for i := range count {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		slug := h.slug(i)
		_, err := h.server.AddRepository(bitbuckettest.Repository{
			ID: int64(i + 1), Project: hostProject, Slug: slug, History: &bitbuckettest.History{},
		})
		if err != nil {
			return nil, err
		}
		if err := copyRepository(choose(i), h.repository(i)); err != nil {
			return nil, err
		}
		h.urls = append(h.urls, h.server.URL()+"/scm/"+strings.ToLower(hostProject)+"/"+slug+".git")
	}
	return h, nil
}

func (h *codeHost) close() error { return errors.Join(h.server.Close(), os.RemoveAll(h.dir)) }

func (h *codeHost) slug(i int) string { return fmt.Sprintf("repository-%04d", i) }

// repository returns where the server keeps a repository.
func (h *codeHost) repository(i int) string {
	return filepath.Join(h.dir, "repositories", strconv.Itoa(i+1))
}

// push adds a commit to a repository, and returns what its refs are afterwards.
func (h *codeHost) push(i, turn int) (refs map[string]string, err error) {
	return h.server.Push(hostProject+"/"+h.slug(i), bitbuckettest.History{Commits: []bitbuckettest.Commit{{
		Branch: "main", Message: "turn", Files: map[string]bitbuckettest.File{"pushed.txt": bitbuckettest.Text(strconv.Itoa(turn))},
	}}})
}

// authorization is the header that git is given.
func authorization() string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(hostAccount+":"+hostPassword))
}

// copyRepository makes a repository the copy of another: its objects, shared on the disk, and its refs.
func copyRepository(from, to string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case strings.HasPrefix(rel, "objects"):
			return os.Link(path, target)
		case rel == "packed-refs":
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(target, content, 0o600)
		}
		return nil
	})
}
