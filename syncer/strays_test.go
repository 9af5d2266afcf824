package syncer

import (
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// newStrayBench is a bench with a mirror of PRJ/a, whose record there is, and one with the number 9, which no record knows.
func newStrayBench(t *testing.T) *cleanBench {
	t.Helper()
	c := newCleanBench(t, testGrace)
	c.host.serve(repo(1, "PRJ/a"), repo(2, "PRJ/b"))
	c.listNow(t, "bitbucket")
	c.mirrors.unclaimed = map[bitbucket.RepoID]time.Time{id(1): {}, id(9): {}}
	c.pass(cleanUpAfter)
	c.look(t)
	return c
}

func TestAMirrorThatNoRecordKnowsGoesAfterTheGraceTime(t *testing.T) {
	t.Parallel()
	c := newStrayBench(t)
	if since := c.mirrors.unclaimed; !since[id(9)].Equal(c.clock) || !since[id(1)].IsZero() {
		t.Errorf("noted %v", since)
	}
	c.pass(testGrace / 2)
	c.restart() // its time does not begin anew
	c.listNow(t, "bitbucket")
	c.pass(testGrace/2 - time.Minute)
	c.look(t)
	c.pass(time.Minute)
	c.look(t)
	c.wantRemoved(t, "before the next look")
	c.pass(strayInterval)
	c.look(t)
	c.wantRemoved(t, "after the grace time", id(9))
}

func TestNoStrayIsRemovedOnDoubt(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]func(t *testing.T, c *cleanBench){
		"before this process has seen it for an hour": func(t *testing.T, c *cleanBench) {
			c.pass(2 * testGrace)
			c.restart()
			c.listNow(t, "bitbucket")
			c.pass(cleanUpAfter)
			c.look(t)
		},
		"before a complete listing by this process": func(t *testing.T, c *cleanBench) {
			c.pass(2 * testGrace)
			c.restart()
			c.host.account = func() (string, error) { return "", bitbucket.ErrUnavailable }
			c.listNow(t, "bitbucket")
			c.pass(cleanUpAfter)
			c.look(t)
			c.pass(strayInterval)
		},
		"when the clock jumps a year ahead": func(t *testing.T, c *cleanBench) {
			c.clock = c.clock.Add(365 * 24 * time.Hour)
			c.listNow(t, "bitbucket")
			c.pass(strayInterval)
			c.look(t)
			c.pass(strayInterval)
		},
		"when its repository is found": func(t *testing.T, c *cleanBench) {
			c.pass(testGrace - time.Minute)
			c.host.serve(repo(1, "PRJ/a"), repo(2, "PRJ/b"), repo(9, "PRJ/found"))
			c.listNow(t, "bitbucket")
			c.look(t)
			if since := c.mirrors.unclaimed[id(9)]; !since.IsZero() {
				t.Errorf("still noted: %v", since)
			}
			c.pass(testGrace)
		},
		"while it is fetched": func(_ *testing.T, c *cleanBench) {
			c.pass(2 * testGrace)
			c.fetches.tryBegin(id(9))
		},
		"without any connection": func(t *testing.T, c *cleanBench) {
			c.configure(testGrace)
			c.pass(testGrace - time.Hour)
			c.look(t)
			c.memory.left = nil // those that have records are another matter
			c.pass(2 * time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newStrayBench(t)
			then(t, c)
			c.look(t)
			for _, removed := range c.removed {
				if removed == id(9) {
					t.Error("it was removed")
				}
			}
		})
	}
}

// TestTheStrayOfAConnectionThatIsGone goes too, while there are others.
func TestTheStrayOfAConnectionThatIsGone(t *testing.T) {
	t.Parallel()
	c := newStrayBench(t)
	gone := bitbucket.RepoID{Connection: "gone", Number: 4}
	c.mirrors.unclaimed = map[bitbucket.RepoID]time.Time{gone: {}}
	for range 2 {
		c.pass(strayInterval)
		c.look(t)
	}
	c.pass(testGrace)
	c.look(t)
	c.wantRemoved(t, "after the grace time", gone)
}
