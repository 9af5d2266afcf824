package app

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/signpost/internal/app/screentest"
	"example.com/signpost/syncer"
)

func newTestScreen(width, height int) (*screen, *screentest.Terminal) {
	terminal := screentest.New(width, height)
	return &screen{out: terminal, size: func() (int, int) { return width, height }}, terminal
}

func wantText(t *testing.T, terminal *screentest.Terminal, want string) {
	t.Helper()
	if got := terminal.Text(); got != want {
		t.Errorf("the terminal shows\n%s\nwant\n%s", got, want)
	}
	if unknown := terminal.Unknown(); len(unknown) > 0 {
		t.Errorf("sequences that not every terminal knows: %q", unknown)
	}
}

func TestTheScreenChangesItsLinesInTheirPlace(t *testing.T) {
	t.Parallel()
	s, terminal := newTestScreen(20, 10)
	draw := func(lines ...string) { s.show(func(int, int) []string { return lines }) }
	fmt.Fprintln(terminal, "before")
	draw("one", "two", "three")
	wantText(t, terminal, "before\none\ntwo\nthree")
	draw("1", "2")
	wantText(t, terminal, "before\n1\n2")
	fmt.Fprintln(s, "a line of the log that is wider than the terminal")
	wantText(t, terminal, "before\na line of the log th\nat is wider than the\n terminal\n1\n2")
	draw()
	draw("again")
	s.end()
	wantText(t, terminal, "before\na line of the log th\nat is wider than the\n terminal")
	draw("late")
	fmt.Fprintln(s, "after")
	wantText(t, terminal, "before\na line of the log th\nat is wider than the\n terminal\nafter")
}

func TestTheScreenShowsNoMoreThanFits(t *testing.T) {
	t.Parallel()
	s, terminal := newTestScreen(20, 4)
	for i := range 3 {
		s.show(func(int, int) []string {
			return []string{"gone", "gone", fmt.Sprint("a", i), fmt.Sprint("b", i), fmt.Sprint("all ", i)}
		})
		wantText(t, terminal, fmt.Sprintf("a%d\nb%d\nall %d", i, i, i))
	}
	s.end()
	wantText(t, terminal, "")
}

func TestALineThatANarrowerTerminalWrappedIsTakenAway(t *testing.T) {
	t.Parallel()
	terminal := screentest.New(10, 10) // as it is after somebody made it narrower
	width := 25
	s := &screen{out: terminal, size: func() (int, int) { return width, 10 }}
	fmt.Fprintln(terminal, "before")
	s.show(func(int, int) []string { return []string{strings.Repeat("x", 24), "short"} })
	width = 10
	s.end()
	wantText(t, terminal, "before")
}

func TestBars(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, terminal := newTestScreen(80, 5)
		b := newBars(s, slog.New(slog.DiscardHandler))
		next := func() {
			t.Helper()
			time.Sleep(redraw) // of the bubble: nothing waits
			synctest.Wait()
		}
		next()
		if got := terminal.Text(); !strings.Contains(got, "asking Bitbucket") {
			t.Errorf("before the first page: %q", got)
		}
		b.Listed("b", 1200)
		b.Listed("a", 25)
		next()
		if got := terminal.Text(); !strings.Contains(got, "listing a: 25 found\n") || !strings.Contains(got, "listing b: 1,200 found") {
			t.Errorf("during the listings: %q", got)
		}
		b.Total(10)
		for i := range 5 {
			b.Started(fmt.Sprintf("a:PRJ/r%d", i))
		}
		b.Said("a:PRJ/r0", "Receiving objects:  50% (5/10), 1.20 MiB | 2.40 MiB/s\r")
		b.Said("a:PRJ/r1", "This server moves\non Sunday")
		b.Said("a:PRJ/r4", "remote: Compressing objects: 100% (7/7), done.")
		b.Said("a:PRJ/nobody", "Receiving objects:  50% (5/10)")
		next()
		lines := strings.Split(terminal.Text(), "\n")
		if len(lines) != 4 || !strings.Contains(lines[0], "a:PRJ/r0") || !strings.Contains(lines[0], "50%  1.20 MiB") || !strings.Contains(lines[1], "This server moves") ||
			!strings.HasPrefix(lines[3], "mirrors [>") || !strings.HasSuffix(lines[3], "] 0 of 10") {
			t.Errorf("during the fetches:\n%s", strings.Join(lines, "\n"))
		}
		fmt.Fprintln(s, "a warning")
		b.Finished("a:PRJ/r0", syncer.FetchResult{Received: 2048}, "")
		b.Finished("a:PRJ/r1", syncer.FetchResult{}, "broken")
		b.Finished("a:PRJ/r9", syncer.FetchResult{}, "") // that never had its turn
		time.Sleep(time.Minute)
		next()
		lines = strings.Split(terminal.Text(), "\n")
		if len(lines) != 5 || lines[0] != "a warning" || !strings.Contains(lines[1], "a:PRJ/r2") || !strings.Contains(lines[3], "a:PRJ/r4                   receiving   ") || !strings.Contains(lines[4], "3 of 10, 1 failed, 2.00 KiB received, about 2m21s left") {
			t.Errorf("later:\n%s", strings.Join(lines, "\n"))
		}
		b.close()
		wantText(t, terminal, "a warning")
	})
}

func TestPlainLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newLines(&out)
		took := func(d time.Duration) {
			time.Sleep(d) // of the bubble: nothing waits
			synctest.Wait()
		}
		l.Listed("bitbucket", 12000)
		took(quietTime)
		l.Total(4)
		l.Started("b:PRJ/large")
		l.Started("b:PRJ/small")
		took(20 * time.Second)
		l.Finished("b:PRJ/small", syncer.FetchResult{Cloned: true, Changed: true, Duration: time.Second}, "")
		l.Said("b:PRJ/large", "Receiving objects:  42% (420/1000), 1.20 MiB | 2.40 MiB/s")
		took(quietTime)
		l.Started("b:PRJ/next")
		l.Said("b:PRJ/next", "Compressing objects: 100% (7/7), done.")
		l.Said("b:PRJ/large", "Checking connectivity: 12345")
		took(quietTime)
		l.Finished("b:PRJ/large", syncer.FetchResult{Changed: true, Duration: 80 * time.Second}, "")
		took(quietTime)
		l.Finished("b:PRJ/next", syncer.FetchResult{}, "it broke")
		took(quietTime)
		l.close()
		took(time.Hour)
		want := `listing bitbucket: 12,000 found
[1/4] b:PRJ/small: cloned in 1s
[1/4] still at b:PRJ/large for 50s, receiving 42% 1.20 MiB | 2.40 MiB/s
[1/4] still at b:PRJ/large for 1m20s, checking 12,345 objects, and at 1 more
[2/4] b:PRJ/large: updated in 1m20s
[2/4] still at b:PRJ/next for 1m0s, receiving
[3/4] b:PRJ/next: failed: it broke
[3/4] waiting
`
		if got := out.String(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestNoBarsWhereNobodyWantsThem(t *testing.T) {
	t.Parallel()
	if canShow(new(bytes.Buffer), func(string) string { return "" }) {
		t.Error("bars in a file")
	}
}
