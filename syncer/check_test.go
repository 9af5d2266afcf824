package syncer

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

// checkedHost is a codeHost that git can be asked at.
type checkedHost struct {
	*codeHost
	git func(cloneURL string) error
}

func (h checkedHost) AdvertisesRefs(_ context.Context, cloneURL string) error {
	h.note("git " + cloneURL)
	if h.git == nil {
		return nil
	}
	return h.git(cloneURL)
}

func TestCheckConnection(t *testing.T) {
	t.Parallel()
	offline := repo(1, "PRJ/offline")
	offline.State = "OFFLINE"
	personal := repo(2, "~ADA/dots")
	personal.Personal = true
	many := func(h checkedHost) {
		h.list = func(_ ListQuery, yield func([]bitbucket.Repository) error) error {
			for n := int64(0); ; n += 1000 {
				page := make([]bitbucket.Repository, 1000)
				for i := range page {
					page[i] = repo(n+int64(i)+1, fmt.Sprintf("PRJ/r%d", n+int64(i)))
				}
				if err := yield(page); err != nil {
					return fmt.Errorf("%w: %w", bitbucket.ErrIncompleteListing, err)
				}
			}
		}
	}
	const version = "7.21.0"
	for _, c := range []struct {
		name   string
		entry  func(*siteconfig.Connection)
		change func(h checkedHost) checkedHost
		want   Check // its texts are parts of what is expected
		asks   int   // of git
	}{
		{
			"all works", nil, func(h checkedHost) checkedHost { h.serve(offline, personal, repo(3, "PRJ/a")); return h },
			Check{Version: version, Account: "bot", Counted: true, Repositories: 3, Personal: 1, GitTried: true, Repository: "~ADA/dots"},
			1,
		},
		{
			"an endless list ends with enough", nil, func(h checkedHost) checkedHost { many(h); return h },
			Check{Version: version, Account: "bot", Counted: true, Repositories: checkedRepositories, AtLeast: true, GitTried: true, Repository: "PRJ/r0"},
			1,
		},
		{
			"a list that breaks off is a problem of REST, and git is tried all the same", nil,
			func(h checkedHost) checkedHost {
				h.list = func(_ ListQuery, yield func([]bitbucket.Repository) error) error {
					_ = yield([]bitbucket.Repository{repo(1, "PRJ/a")})
					return bitbucket.ErrUnavailable
				}
				return h
			},
			Check{Version: version, Account: "bot", Counted: true, Repositories: 1, AtLeast: true, REST: "does not answer as it should", GitTried: true, Repository: "PRJ/a"},
			1,
		},
		{
			"a refused credential is not sent to git", nil,
			func(h checkedHost) checkedHost {
				h.account = func() (string, error) { return "", bitbucket.ErrUnauthorized }
				return h
			},
			Check{Version: version, REST: "Bitbucket refused the credential", Git: "not tried"},
			0,
		},
		{
			"an account that sees nothing", nil, func(h checkedHost) checkedHost { h.serve(offline); return h },
			Check{Version: version, Account: "bot", Counted: true, Repositories: 1, Git: "give it read permission"},
			0,
		},
		{
			"git that fails is told from REST", nil,
			func(h checkedHost) checkedHost {
				h.serve(repo(1, "PRJ/a"))
				h.git = func(string) error { return bitbucket.ErrForbidden }
				return h
			},
			Check{Version: version, Account: "bot", Counted: true, Repositories: 1, GitTried: true, Repository: "PRJ/a", Git: "PRJ/a: the account may not read this"},
			1,
		},
		{
			"SSH is not tried", func(c *siteconfig.Connection) { c.GitURLType = "ssh" },
			func(h checkedHost) checkedHost { h.serve(repo(1, "PRJ/a")); return h },
			Check{Version: version, Account: "bot", Counted: true, Repositories: 1, Git: "SSH"},
			0,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			host := c.change(checkedHost{codeHost: b.host})
			connection := connectionOf("bitbucket", c.entry)
			got := CheckConnection(t.Context(), &connection, host)
			if !strings.Contains(got.REST, c.want.REST) || !strings.Contains(got.Git, c.want.Git) || got.OK() != (c.want.REST == "" && c.want.Git == "") {
				t.Errorf("REST %q, git %q, OK %v", got.REST, got.Git, got.OK())
			}
			if (got.REST == "") != (c.want.REST == "") || (got.Git == "") != (c.want.Git == "") {
				t.Errorf("REST %q, git %q", got.REST, got.Git)
			}
			got.REST, got.Git = c.want.REST, c.want.Git
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			asks := 0
			for _, call := range host.calls {
				if strings.HasPrefix(call, "git ") {
					asks++
				}
			}
			if asks != c.asks {
				t.Errorf("git was asked %d times, want %d", asks, c.asks)
			}
		})
	}
}
