package app

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"example.com/signpost/syncer"
)

func TestTheReportOfAPass(t *testing.T) {
	t.Parallel()
	listed := syncer.ConnectionStatus{Connection: "bb", Version: "9.4.0", Listed: 3, Selected: 2, Withheld: 1, Error: "the listing broke off"}
	for _, c := range []struct {
		name    string
		report  syncer.Report
		stopped bool
		want    string
	}{
		{
			name:   "bytes, and the engines when there are several",
			report: syncer.Report{Repositories: 3, Cloned: 2, Unchanged: 1, Received: 5 << 20, Engines: map[string]int{"git": 1, "go-git": 1}},
			want:   "3 repositories: 2 cloned, 0 changed, 1 unchanged, 0 failed, 5.00 MiB received (1 by git, 1 by go-git), in 1.5s\n",
		},
		{
			name:   "one engine is no news",
			report: syncer.Report{Repositories: 1, Changed: 1, Received: 12, Engines: map[string]int{"git": 1}},
			want:   "1 repository: 0 cloned, 1 changed, 0 unchanged, 0 failed, 12 bytes received, in 1.5s\n",
		},
		{
			name: "what failed",
			report: syncer.Report{
				Connections: []syncer.ConnectionStatus{listed, {Connection: "old"}}, Repositories: 2, Cloned: 1, Failed: 1,
				Failures: []syncer.Failure{{Connection: "bb", Error: "the listing broke off"}, {Connection: "bb", Repository: "PRJ/a", Error: "it broke"}},
			},
			want: `bb: Bitbucket 9.4.0, 3 repositories listed, 2 selected, 1 missing ones kept; the listing broke off
old: Bitbucket of an unknown version, 0 repositories listed, 0 selected
2 repositories: 1 cloned, 0 changed, 0 unchanged, 1 failed, in 1.5s
CONNECTION  REPOSITORY  WHY
bb          (listing)   the listing broke off
bb          PRJ/a       it broke
`,
		},
		{
			name: "what was done until it was stopped", stopped: true,
			report: syncer.Report{Repositories: 10, Cloned: 2, Failed: 1},
			want:   "10 repositories: 2 cloned, 0 changed, 0 unchanged, 1 failed, 7 not done, in 1.5s\n",
		},
		{
			name: "stopped during the listings", stopped: true,
			report: syncer.Report{Connections: []syncer.ConnectionStatus{{Connection: "a", Version: "4.14.0", Listed: 1, Selected: 1}, {}}},
			want:   "a: Bitbucket 4.14.0, 1 repository listed, 1 selected\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := writeReport(&out, &c.report, 1500*time.Millisecond, c.stopped); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
	t.Run("a disk that is full is told", func(t *testing.T) {
		t.Parallel()
		if err := writeReport(fullDisk{}, &syncer.Report{}, time.Second, false); !errors.Is(err, errFull) {
			t.Errorf("error %v", err)
		}
	})
}

var errFull = errors.New("no space left on device")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }
