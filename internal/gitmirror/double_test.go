package gitmirror

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// TestFetchFromTheDouble fetches from the Bitbucket double, with its logins and refusals.
func TestFetchFromTheDouble(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"4.14", "9.4"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			const token = "canary-token-91d3"
			b, err := bitbuckettest.Start(bitbuckettest.Options{Version: version, ContextPath: "/git/bitbucket", CaptchaAfter: 3})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Close() })
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			_, err = b.AddUser(bitbuckettest.User{Name: canaryUser, Password: canaryPassword, Tokens: []string{token}})
			must(err)
			_, err = b.AddProject(bitbuckettest.Project{Key: "PRJ"})
			must(err)
			_, err = b.AddRepository(bitbuckettest.Repository{Project: "PRJ", Slug: "app", Readers: []string{canaryUser}, History: &bitbuckettest.History{
				Commits: []bitbuckettest.Commit{{Files: map[string]bitbuckettest.File{"a.go": bitbuckettest.Text("x"), "sub": bitbuckettest.Submodule(strings.Repeat("1", 40))}}},
				Tags:    []bitbuckettest.Tag{{Name: "v1", Target: "main", Message: "v1"}},
			}})
			must(err)
			_, err = b.AddRepository(bitbuckettest.Repository{Project: "PRJ", Slug: "empty", Readers: []string{canaryUser}})
			must(err)
			_, err = b.AddRepository(bitbuckettest.Repository{Project: "PRJ", Slug: "private", Readers: []string{}})
			must(err)

			data := t.TempDir()
			m, err := New(Options{Root: filepath.Join(data, "mirrors"), Tmp: filepath.Join(data, "tmp")})
			must(err)
			t.Cleanup(func() { _ = m.Close() })
			number := int64(0)
			fetch := func(slug string, authorize func(*http.Request)) (bitbucket.RepoID, error) {
				number++
				id := bitbucket.RepoID{Connection: "bitbucket", Number: number}
				request := requestFor(id, b.URL()+"/scm/prj/"+slug+".git")
				if authorize != nil {
					request.Authorize = authorize
				}
				_, err := m.Fetch(t.Context(), request)
				return id, err
			}

			id, err := fetch("app", nil)
			must(err)
			commit, err := m.ResolveRef(t.Context(), id, "refs/tags/v1")
			must(err)
			if kind, err := m.PathKind(t.Context(), id, commit, "sub"); err != nil || kind != bitbucket.PathSubmodule {
				t.Errorf("PathKind: %v, %v", kind, err)
			}
			_, err = fetch("empty", nil)
			must(err)
			_, err = fetch("missing", nil)
			wantErr(t, err, bitbucket.ErrNotFound)
			_, err = fetch("private", nil)
			wantErr(t, err, bitbucket.ErrNotFound)

			if b.HasTokens() {
				_, err = fetch("app", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) })
				must(err)
			}
			must(b.Rename("PRJ/app", "PRJ/renamed"))
			if _, err = fetch("app", nil); version == "4.14" {
				wantErr(t, err, bitbucket.ErrNotFound) // the old address is kept from 5.0 on
			} else {
				must(err)
			}

			remove := b.Fault(bitbuckettest.Fault{Effect: bitbuckettest.EffectLoginPage})
			_, err = fetch("renamed", nil)
			wantErr(t, err, bitbucket.ErrNotBitbucket)
			remove()
			remove = b.Fault(bitbuckettest.Fault{Effect: bitbuckettest.EffectRateLimited, RetryAfter: "3"})
			_, err = fetch("renamed", nil)
			wantErr(t, err, bitbucket.ErrRateLimited)
			remove()
			for range 3 {
				_, err = fetch("renamed", func(r *http.Request) { r.SetBasicAuth(canaryUser, "wrong") })
				wantErr(t, err, bitbucket.ErrUnauthorized)
			}
			_, err = fetch("renamed", nil)
			wantErr(t, err, bitbucket.ErrCaptcha, bitbucket.ErrForbidden)
		})
	}
}
