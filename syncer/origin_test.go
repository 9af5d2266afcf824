package syncer

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/resolver"
)

// at returns the connection "bitbucket" at other addresses.
func at(t *testing.T, addresses ...string) siteconfig.Connection {
	t.Helper()
	return connectionOf("bitbucket", func(c *siteconfig.Connection) {
		c.Server.Addresses = nil
		for _, address := range addresses {
			base, err := bitbucket.ParseBaseURL(address)
			if err != nil {
				t.Fatal(err)
			}
			c.Server.Addresses = append(c.Server.Addresses, base)
		}
	})
}

func (b *bench) use(connections ...siteconfig.Connection) {
	b.SetConfig(&siteconfig.Config{Connections: connections, MaxConcurrentClones: 2})
}

// movedBench is a bench that has listed and fetched PRJ/a and PRJ/b at bitbucket.example.com.
func movedBench(t *testing.T) (b *bench, removed *[]bitbucket.RepoID) {
	t.Helper()
	b, removed = newBench(t), new([]bitbucket.RepoID)
	b.mirrors.remove = func(id bitbucket.RepoID) error {
		if b.memory.record(t, id).Selected {
			t.Errorf("%s has a link while its mirror is of another server", id)
		}
		*removed = append(*removed, id)
		return nil
	}
	b.host.serve(repo(1, "PRJ/a"), repo(2, "PRJ/b"))
	b.listNow(t, "bitbucket")
	for _, id := range []bitbucket.RepoID{id(1), id(2)} {
		if err := b.workFetch(t.Context(), FetchArgs{Connection: id.Connection, Number: id.Number}, b.clock); err != nil {
			t.Fatal(err)
		}
	}
	return b, removed
}

func (b *bench) linked(t *testing.T) []string {
	t.Helper()
	var linked []string
	if err := b.EachLinked(t.Context(), func(r Record) error { linked = append(linked, r.String()); return nil }); err != nil {
		t.Fatal(err)
	}
	return linked
}

func TestAnotherServerUnderTheSameNameTakesNothingOver(t *testing.T) {
	t.Parallel()
	for _, found := range []string{"by the listing", "by a lookup"} {
		t.Run(found, func(t *testing.T) {
			t.Parallel()
			b, removed := movedBench(t)
			elsewhere := at(t, "https://elsewhere.example.com")
			b.use(elsewhere)
			if got := b.listener.changes[len(b.listener.changes)-1].Removed; !slices.Equal(got, []bitbucket.RepoID{id(1), id(2)}) {
				t.Errorf("told of %v as removed", got)
			}
			if got := b.linked(t); got != nil {
				t.Errorf("linked %v before the other server was asked", got)
			}
			b.host.serve(repo(2, "THEIRS/x"), repo(3, "PRJ/a"))
			if err := b.workFetch(t.Context(), FetchArgs{Connection: "bitbucket", Number: 1, Asked: true}, b.clock); err != nil || len(*removed) != 0 {
				t.Errorf("%v, removed %v; want nothing to happen to what is not found", err, *removed)
			}
			if found == "by a lookup" {
				if _, err := b.LookupRepository(t.Context(), "bitbucket", repo(0, "PRJ/b").Address); !errors.As(err, new(*resolver.NotFoundError)) {
					t.Errorf("lookup of what only the old server has: error %v", err)
				}
				if got, err := b.LookupRepository(t.Context(), "bitbucket", repo(0, "THEIRS/x").Address); err != nil || got.ID != id(2) || len(got.Former) != 0 {
					t.Errorf("lookup: %+v, %v", got, err)
				}
			} else {
				b.listNow(t, "bitbucket")
			}
			if diff := cmp.Diff([]bitbucket.RepoID{id(2)}, *removed); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
			if r := b.memory.record(t, id(2)); !r.Selected || r.Foreign || r.Mirror != (MirrorStatus{}) || len(r.Former) != 0 {
				t.Errorf("record %+v, want it as new", r)
			}
			status := b.listNow(t, "bitbucket")
			if status.Missing != 0 || status.Withheld != 0 || status.Error != "" {
				t.Errorf("status %+v, want none counted as missing", status)
			}
			if diff := cmp.Diff([]string{"THEIRS/x", "PRJ/a"}, b.linked(t)); diff != "" {
				t.Errorf("linked (-want +got):\n%s", diff)
			}
			if len(*removed) != 1 {
				t.Errorf("removed %v", *removed)
			}
			if r := b.memory.record(t, id(1)); r.Selected || r.Reason != reasonMoved {
				t.Errorf("record that only the old server has: %+v", r)
			}
		})
	}
}

func TestAMistypedURLCostsNoMirror(t *testing.T) {
	t.Parallel()
	b, removed := movedBench(t)
	b.use(at(t, "https://bitbukcet.example.com"))
	b.host.account = func() (string, error) { return "", bitbucket.ErrUnavailable }
	b.listNow(t, "bitbucket")
	if got := b.linked(t); got != nil {
		t.Errorf("linked %v", got)
	}
	b.host.account = nil
	b.use(connectionOf("bitbucket", nil))
	b.listNow(t, "bitbucket")
	if diff := cmp.Diff([]string{"PRJ/a", "PRJ/b"}, b.linked(t)); diff != "" {
		t.Errorf("linked (-want +got):\n%s", diff)
	}
	if r := b.memory.record(t, id(1)); len(*removed) != 0 || r.Mirror.RefsDigest == "" {
		t.Errorf("removed %v, record %+v; want the mirrors kept", *removed, r)
	}
}

func TestAServerThatIsKnownByAnAliasIsTheSame(t *testing.T) {
	t.Parallel()
	b, removed := movedBench(t)
	for _, c := range []siteconfig.Connection{
		at(t, "https://bitbucket.example.com", "https://new.example.com"), // in one go, or one after the other
		at(t, "https://new.example.com"),
		at(t, "https://newer.example.com", "https://new.example.com"),
	} {
		b.use(c)
		if got := b.linked(t); len(got) != 2 {
			t.Errorf("linked %v at %s", got, c.BaseURL())
		}
		b.listNow(t, "bitbucket")
	}
	if len(*removed) != 0 {
		t.Errorf("removed %v", *removed)
	}
}

// After a restart, and when the connection had been removed in between, the store knows.
func TestAnotherServerIsSeenAfterARestart(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{true, false} {
		b, _ := movedBench(t)
		if restart {
			again := newBench(t)
			again.opts.Index, again.opts.Records, again.opts.Status, again.memory = b.memory, b.memory, b.memory, b.memory
			b = again
			b.conns = nil
		} else {
			b.use()
		}
		b.use(at(t, "https://elsewhere.example.com"))
		if got := b.linked(t); got != nil {
			t.Errorf("after a restart %v: linked %v", restart, got)
		}
	}
}

func TestNothingIsLinkedWhileTheServerOfTheRecordsCannotBeRead(t *testing.T) {
	t.Parallel()
	b, removed := movedBench(t)
	failure := errors.New("the disk is full")
	b.memory.fail = func(method string) error {
		if method == "Origins" {
			return failure
		}
		return nil
	}
	b.use(at(t, "https://bitbucket.example.com", "https://alias.example.com")) // the same one, as the memory of the process tells
	if got := b.linked(t); len(got) != 2 {
		t.Errorf("linked %v of the same server", got)
	}
	b.use()
	b.use(connectionOf("bitbucket", nil))
	if got := b.linked(t); got != nil {
		t.Errorf("linked %v of a server that nobody knows", got)
	}
	failure = nil
	b.listNow(t, "bitbucket")
	if got := b.linked(t); len(got) != 2 || len(*removed) != 0 {
		t.Errorf("linked %v after the listing, removed %v", got, *removed)
	}
}
