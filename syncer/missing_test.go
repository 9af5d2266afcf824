package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

func TestAListThatIsShortIsHeldAgainstWhatIsThere(t *testing.T) {
	t.Parallel()
	all := make([]bitbucket.Repository, 60)
	for i := range all {
		all[i] = repo(int64(i+1), fmt.Sprintf("PRJ/r%d", i+1))
	}
	moved := slices.Clone(all)
	moved[59].Slug = "elsewhere"
	for _, c := range []struct {
		name      string
		listed    int                    // how many the list has
		there     []bitbucket.Repository // what Bitbucket has when asked one by one
		err       error                  // that it gives then
		removes   bool
		says      string
		mostAsked int
	}{
		{"the last page is missing", 58, all, nil, false, "lacks PRJ/r59", 1},
		{"most pages are missing", 2, all, nil, false, "lacks PRJ/r", 1},
		{"two were deleted", 58, all[:58], nil, true, "", 2},
		{"most were deleted", 2, all[:2], nil, true, "", missingAsked},
		{"one is somewhere else now, where the account may not see it", 59, moved, nil, true, "", 1},
		{"Bitbucket cannot be asked", 58, nil, bitbucket.ErrUnavailable, false, "PRJ/r59, which the listing lacks", 1},
		{"the account may not read it any more", 59, nil, bitbucket.ErrForbidden, true, "", 1},
		{"the credential is refused meanwhile", 59, nil, bitbucket.ErrUnauthorized, false, "PRJ/r60, which the listing lacks", 1},
		{"nothing is missing", 60, nil, bitbucket.ErrUnavailable, false, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.host.serve(all...)
			b.listNow(t, "bitbucket")
			b.host.serve(c.there...)
			one, asked := b.host.one, 0
			b.host.serve(all[:c.listed]...)
			b.host.one = func(address bitbucket.Address) (bitbucket.Repository, error) {
				asked++
				if c.err != nil {
					return bitbucket.Repository{}, c.err
				}
				return one(address)
			}
			status := b.listNow(t, "bitbucket")
			for _, r := range all[c.listed:] {
				if record := b.memory.record(t, r.ID); record.MissingSince.IsZero() == c.removes {
					t.Errorf("%s is missing since %v, want it removed: %v", r.Address, record.MissingSince, c.removes)
				}
			}
			if asked > c.mostAsked || !strings.Contains(status.Error, c.says) || (c.says == "") != (status.Error == "") {
				t.Errorf("%d were asked for, want at most %d; the status is %q", asked, c.mostAsked, status.Error)
			}
		})
	}
}

// A list is in the order of the names: what is renamed while its pages are read can be on none of them.
func TestWhatIsRenamedWhileItIsListedIsNotMissing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		change  func(*siteconfig.Connection)
		now     string
		removes bool
	}{
		{"all are taken", func(*siteconfig.Connection) {}, "ABC/a", false},
		{"its project is taken", func(c *siteconfig.Connection) { c.ProjectKeys = []string{"PRJ"} }, "PRJ/a", false},
		{"it left its project", func(c *siteconfig.Connection) { c.ProjectKeys = []string{"PRJ"} }, "ABC/a", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.reconfigure(c.change)
			b.host.serve(repo(1, "PRJ/b"), repo(2, "PRJ/z"))
			b.listNow(t, "bitbucket")
			b.host.serve(repo(1, "PRJ/b"))
			b.host.one = func(bitbucket.Address) (bitbucket.Repository, error) { return repo(2, c.now), nil }
			status := b.listNow(t, "bitbucket")
			record := b.memory.record(t, id(2))
			if removed := !record.MissingSince.IsZero() || !record.Selected; removed != c.removes || (status.Error == "") != c.removes {
				t.Errorf("removed: %v, want %v (missing since %v); the status is %q", removed, c.removes, record.MissingSince, status.Error)
			}
		})
	}
}

func TestWhatAQueryNoLongerFindsIsNotAskedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.reconfigure(func(c *siteconfig.Connection) { c.RepositoryQuery = []string{"?name=a"} })
	b.host.serve(repo(1, "PRJ/a"), repo(2, "PRJ/b"))
	b.listNow(t, "bitbucket")
	b.host.serve(repo(1, "PRJ/a"))
	b.host.one = func(bitbucket.Address) (bitbucket.Repository, error) { return repo(2, "PRJ/b"), nil }
	if status := b.listNow(t, "bitbucket"); status.Error != "" {
		t.Errorf("the status is %q: a query may find less", status.Error)
	}
}

func TestAFetchThatIsAskedForWhileTheCredentialIsRefusedIsMadeUpFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.serve(repo(1, "PRJ/a"), repo(2, "PRJ/b"))
	b.listNow(t, "bitbucket")
	for n := range int64(2) {
		if _, err := b.fetch(t.Context(), id(n+1), fetchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	b.clock = b.clock.Add(time.Second)
	b.mirrors.fetch = func(context.Context, FetchRequest) (FetchResult, error) {
		return FetchResult{}, errors.New("git was called")
	}
	b.connection("bitbucket").credential.refuse(bitbucket.ErrUnauthorized)
	for n, asked := range map[int64]bool{1: true, 2: false} {
		b.clock = b.clock.Add(time.Second)
		before := b.memory.record(t, id(n)).Mirror.NextFetch
		f, err := b.fetch(t.Context(), id(n), fetchOptions{asked: asked})
		if got := b.memory.record(t, id(n)).Mirror.NextFetch; err != nil || asked && (f.outcome != outcomePostponed || !got.Equal(b.clock)) || !asked && !got.Equal(before) {
			t.Errorf("asked for: %v: %v, %v; the next fetch is due %v, now it is %v", asked, f, err, got, b.clock)
		}
	}
}

func TestAFetchThatIsAskedForWhileTheCredentialIsRefusedWaitsWhereNoScheduleFetches(t *testing.T) {
	t.Parallel()
	for _, scheduled := range []bool{true, false} {
		b := newBench(t)
		b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true, Mirror: MirrorStatus{LastFetch: b.clock}}
		b.mirrors.fetch = func(context.Context, FetchRequest) (FetchResult, error) {
			return FetchResult{}, errors.New("git was called")
		}
		config, _ := b.current()
		changed := *config
		changed.DisableAutoGitUpdates = !scheduled
		b.SetConfig(&changed)
		b.connection("bitbucket").credential.refuse(bitbucket.ErrUnauthorized)
		err := b.workFetch(t.Context(), FetchArgs{Connection: "bitbucket", Number: 1, Asked: true}, b.clock)
		var later *rivertype.JobSnoozeError
		if errors.As(err, &later) == scheduled || scheduled && err != nil {
			t.Errorf("with a schedule: %v: %v; want the job to be kept only where nothing else makes up for it", scheduled, err)
		}
	}
}
