package syncer

import (
	"slices"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
)

func TestMirrorStateOf(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	fetched := MirrorStatus{LastFetch: now.Add(-time.Hour), NextFetch: now.Add(time.Minute)}
	late := MirrorStatus{LastFetch: now.Add(-time.Hour), NextFetch: now.Add(-LateAfter - 1)}
	for _, c := range []struct {
		name   string
		change func(*Record)
		mirror MirrorStatus
		paused bool
		want   MirrorState
	}{
		{name: "what was never fetched waits", want: MirrorWaiting},
		{name: "what is new does not count as late", mirror: MirrorStatus{NextFetch: now.Add(-24 * time.Hour)}, want: MirrorWaiting},
		{name: "what was fetched is fresh until its time", mirror: fetched, want: MirrorFresh},
		{name: "what is due is fresh for some minutes more", mirror: MirrorStatus{LastFetch: now, NextFetch: now.Add(-LateAfter)}, want: MirrorFresh},
		{name: "what is due for longer is behind", mirror: late, want: MirrorBehind},
		{name: "nothing is behind while updates are switched off", mirror: late, paused: true, want: MirrorFresh},
		{name: "a fetch that failed", mirror: MirrorStatus{LastFetch: now, NextFetch: now.Add(time.Minute), Failures: 1}, want: MirrorFailing},
		{name: "a first fetch that failed", mirror: MirrorStatus{NextFetch: now.Add(time.Minute), Failures: 3}, want: MirrorFailing},
		{name: "one that fails and is late fails", mirror: MirrorStatus{LastFetch: now, NextFetch: late.NextFetch, Failures: 1}, want: MirrorFailing},
		{name: "one without a commit is empty", mirror: MirrorStatus{LastFetch: now, NextFetch: now, Empty: true}, want: MirrorEmpty},
		{name: "an empty one that is late is behind: it may have commits by now", mirror: MirrorStatus{LastFetch: now, NextFetch: late.NextFetch, Empty: true}, want: MirrorBehind},
		{name: "a time that only a clock set back since explains", mirror: MirrorStatus{LastFetch: now, NextFetch: now.Add(24 * 365 * time.Hour)}, want: MirrorFresh},
		{name: "what is not selected has none", change: func(r *Record) { r.Selected = false }, mirror: fetched, want: MirrorNone},
		{name: "what is missing has none", change: func(r *Record) { r.MissingSince = now }, mirror: fetched, want: MirrorNone},
		{name: "what is offline has none", change: func(r *Record) { r.State = bitbucket.StateOffline }, mirror: fetched, want: MirrorNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := Record{Repository: repo(1, "PRJ/a"), Selected: true, Mirror: c.mirror}
			if c.change != nil {
				c.change(&r)
			}
			got := MirrorStateOf(r, now, c.paused)
			if got != c.want {
				t.Errorf("MirrorStateOf: %s, want %s", got, c.want)
			}
			if !slices.Contains(MirrorStates(), got) {
				t.Errorf("%s is not among MirrorStates", got)
			}
		})
	}
}
