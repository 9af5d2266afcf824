package syncer

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

const testGrace = 7 * 24 * time.Hour

// cleanBench is a bench whose clocks the test sets, with PRJ/a that stays and PRJ/b that the last complete listing lacked.
type cleanBench struct {
	*bench
	uptime  time.Duration
	removed []bitbucket.RepoID
}

func newCleanBench(t *testing.T, grace time.Duration) *cleanBench {
	t.Helper()
	c := &cleanBench{bench: newBench(t)}
	c.mirrors.remove = func(id bitbucket.RepoID) error {
		c.removed = append(c.removed, id)
		return nil
	}
	c.departing.started, c.departing.uptime = c.clock, func() time.Duration { return c.uptime }
	c.configure(grace, connectionOf("bitbucket", nil))
	c.host.serve(repo(1, "PRJ/a"), repo(2, "PRJ/b"))
	c.listNow(t, "bitbucket")
	for _, id := range []bitbucket.RepoID{id(1), id(2)} {
		if err := c.workFetch(t.Context(), FetchArgs{Connection: id.Connection, Number: id.Number}, c.clock); err != nil {
			t.Fatal(err)
		}
	}
	c.host.serve(repo(1, "PRJ/a"))
	c.listNow(t, "bitbucket")
	c.look(t)
	return c
}

func (c *cleanBench) configure(grace time.Duration, connections ...siteconfig.Connection) {
	c.SetConfig(&siteconfig.Config{Connections: connections, MaxConcurrentClones: 2, MirrorGrace: grace})
}

// pass lets time pass, for the clock and for the process.
func (c *cleanBench) pass(d time.Duration) {
	c.uptime += d
	c.clock = c.clock.Add(d)
}

// look is what happens every few minutes.
func (c *cleanBench) look(t *testing.T) {
	t.Helper()
	if err := c.noteConnections(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.cleanUp(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// restart is a new process of the same time.
func (c *cleanBench) restart() {
	c.departing = newDeparting(c.clock)
	c.uptime = 0
	c.departing.uptime = func() time.Duration { return c.uptime }
}

func (c *cleanBench) wantRemoved(t *testing.T, when string, want ...bitbucket.RepoID) {
	t.Helper()
	if diff := cmp.Diff(want, c.removed); diff != "" {
		t.Errorf("removed %s (-want +got):\n%s", when, diff)
	}
}

func TestAMirrorGoesAfterTheGraceTime(t *testing.T) {
	t.Parallel()
	c := newCleanBench(t, testGrace)
	c.slow.note(id(2), longAfter)
	c.begun.ask(id(2))
	c.begun.serve(id(2), 1)
	c.pass(testGrace - time.Minute)
	c.look(t)
	c.wantRemoved(t, "before the grace time is over")
	c.pass(time.Minute)
	c.look(t)
	c.wantRemoved(t, "before it was seen for an hour as one whose time is over")
	c.pass(watchFor)
	c.look(t)
	c.wantRemoved(t, "after the grace time", id(2))
	if _, known := c.memory.records[id(2)]; known {
		t.Error("the record is still there")
	}
	if c.slow.ids[id(2)] || c.begun.asked(id(2)) != 0 || !c.begun.last[id(2)].IsZero() {
		t.Error("something of it is remembered")
	}
	if r := c.memory.record(t, id(1)); !r.Selected || r.Mirror.LastFetch.IsZero() || c.begun.last[id(1)].IsZero() {
		t.Errorf("the other one: %+v", r)
	}
	c.look(t)
	c.wantRemoved(t, "once more", id(2))
}

func TestWhatIsNotSelectedKeepsItsRecordWithoutAMirror(t *testing.T) {
	t.Parallel()
	c := newCleanBench(t, testGrace)
	c.configure(testGrace, connectionOf("bitbucket", func(c *siteconfig.Connection) { c.Exclude = []siteconfig.Exclusion{{Name: "PRJ/a"}} }))
	c.memory.left[id(1)] = c.clock // the bench's time
	c.pass(testGrace)
	c.look(t)
	c.pass(watchFor)
	c.look(t)
	c.wantRemoved(t, "after the grace time", id(1), id(2))
	if r := c.memory.record(t, id(1)); r.Mirror != (MirrorStatus{}) || r.Reason != "excluded by exclude[0] (name PRJ/a)" {
		t.Errorf("record %+v, want it to say why it is not selected", r)
	}
}

func TestNoMirrorIsRemovedOnDoubt(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		then func(t *testing.T, c *cleanBench)
	}{
		{"right after a start", func(t *testing.T, c *cleanBench) {
			c.configure(0, connectionOf("bitbucket", nil))
			c.pass(30 * testGrace)
			c.restart()
			c.listNow(t, "bitbucket")
			c.uptime = cleanUpAfter - 1
		}},
		{"before a complete listing by this process", func(t *testing.T, c *cleanBench) {
			c.configure(0, connectionOf("bitbucket", nil))
			c.pass(30 * testGrace)
			c.restart()
			c.host.account = func() (string, error) { return "", bitbucket.ErrUnavailable }
			c.listNow(t, "bitbucket")
			c.pass(testGrace)
		}},
		{"before this process has seen it for an hour", func(t *testing.T, c *cleanBench) {
			c.pass(30 * testGrace)
			c.restart()
			c.listNow(t, "bitbucket")
			c.pass(cleanUpAfter)
			c.look(t)
			c.pass(watchFor - 1)
		}},
		{"when the clock jumps a year ahead", func(t *testing.T, c *cleanBench) {
			c.clock = c.clock.Add(365 * 24 * time.Hour)
			c.listNow(t, "bitbucket")
			for range 3 {
				c.pass(24 * time.Hour)
				c.look(t)
			}
		}},
		{"when the clock is behind what it was", func(_ *testing.T, c *cleanBench) {
			c.pass(2 * testGrace)
			c.memory.statuses["bitbucket"] = ConnectionStatus{Connection: "bitbucket", LastAttempt: c.clock.Add(time.Hour)}
		}},
		{"when it was found again", func(t *testing.T, c *cleanBench) {
			c.pass(2 * testGrace)
			c.look(t)
			c.host.serve(repo(1, "PRJ/a"), repo(2, "PRJ/moved"))
			c.listNow(t, "bitbucket")
			c.pass(watchFor)
		}},
		{"when it is found again in that moment", func(t *testing.T, c *cleanBench) {
			c.pass(2 * testGrace)
			c.look(t)
			c.pass(watchFor)
			c.memory.fail = func(method string) error {
				if method == "Departed" { // it was read; the lock of memory is held
					r := c.memory.records[id(2)]
					r.Selected, r.MissingSince = true, time.Time{}
					c.memory.records[id(2)] = r
					delete(c.memory.left, id(2))
				}
				return nil
			}
		}},
		{"while it is fetched", func(_ *testing.T, c *cleanBench) {
			c.pass(2 * testGrace)
			c.fetches.tryBegin(id(2))
		}},
		{"without a configuration", func(_ *testing.T, c *cleanBench) {
			c.pass(2 * testGrace)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.conns, c.config = nil, &siteconfig.Config{}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newCleanBench(t, testGrace)
			test.then(t, c)
			c.look(t)
			c.look(t)
			c.wantRemoved(t, "nothing")
			if _, known := c.memory.records[id(2)]; !known {
				t.Error("the record is gone")
			}
		})
	}
}

func TestAGraceTimeOfZeroIsAtOnce(t *testing.T) {
	t.Parallel()
	c := newCleanBench(t, 0)
	c.pass(cleanUpAfter)
	c.look(t)
	c.wantRemoved(t, "after the first minutes", id(2))
}

func TestTheMirrorsOfARemovedConnectionGoAfterTheGraceTime(t *testing.T) {
	t.Parallel()
	c := newCleanBench(t, testGrace)
	c.configure(testGrace)
	c.look(t)
	c.pass(testGrace / 2)
	c.restart() // its time does not begin anew
	c.look(t)
	c.pass(testGrace / 2)
	c.look(t)
	c.pass(watchFor - 1)
	c.look(t)
	c.wantRemoved(t, "before the last hour is over")
	c.pass(1)
	c.look(t)
	slices.SortFunc(c.removed, func(a, b bitbucket.RepoID) int { return int(a.Number - b.Number) })
	c.wantRemoved(t, "after the grace time", id(1), id(2))
	if r := c.memory.record(t, id(1)); r.Mirror != (MirrorStatus{}) {
		t.Errorf("record %+v, want none of a mirror", r)
	}

	// When the connection comes back, everything is cloned.
	c.configure(testGrace, connectionOf("bitbucket", nil))
	c.look(t)
	c.listNow(t, "bitbucket")
	if err := c.workFetch(context.Background(), FetchArgs{Connection: "bitbucket", Number: 1}, c.clock); err != nil {
		t.Fatal(err)
	}
	if r := c.memory.record(t, id(1)); r.Mirror.LastFetch.IsZero() {
		t.Errorf("record %+v, want it fetched", r)
	}
}

func TestAConnectionThatComesBackInTimeKeepsItsMirrors(t *testing.T) {
	t.Parallel()
	c := newCleanBench(t, testGrace)
	c.configure(testGrace)
	c.look(t)
	c.pass(testGrace - time.Hour)
	c.configure(testGrace, connectionOf("bitbucket", nil))
	c.look(t)
	c.listNow(t, "bitbucket")
	c.configure(testGrace)
	c.look(t)
	c.pass(2 * time.Hour)
	c.look(t)
	c.pass(watchFor)
	c.look(t)
	for _, removed := range c.removed {
		if removed == id(1) {
			t.Error("removed, although its connection had come back")
		}
	}
}
