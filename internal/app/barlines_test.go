package app

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestLinesOfTheDisplay(t *testing.T) {
	t.Parallel()
	receiving := parseGitProgress("Receiving objects:  50% (5/10), 1.20 MiB | 2.40 MiB/s")
	for _, c := range []struct{ name, got, want string }{
		{"a listing", listingLine(80, "bitbucket", 1200, 1), "/ listing bitbucket: 1,200 found"},
		{"a fetch that has just begun", repositoryLine(40, "b:PRJ/app", gitProgress{}, "", 0), "b:PRJ/app     |"},
		{
			"a fetch of known size", repositoryLine(100, "b:PRJ/app", receiving, "", 0),
			"b:PRJ/app                         receiving   [=========>        ]  50%  1.20 MiB | 2.40 MiB/s",
		},
		{
			"a fetch on a wide terminal", repositoryLine(130, "b:PRJ/app", receiving, "", 0),
			"b:PRJ/app                                   receiving   [============>           ]  50%  1.20 MiB | 2.40 MiB/s",
		},
		{"a fetch on a narrow terminal", repositoryLine(40, "bitbucket:PROJECT/application", receiving, "", 0), "…/application receiving    50%  1.20 M…"},
		{
			"a fetch of unknown size", repositoryLine(80, "b:PRJ/app", parseGitProgress("Counting objects: 12345"), "", 3),
			`b:PRJ/app                  counting    \ 12,345 objects`,
		},
		{"what the server says", repositoryLine(80, "b:PRJ/app", gitProgress{}, "This server moves on Sunday", 0), "b:PRJ/app                  This server moves on Sunday"},
		{"all, at first", totalLine(60, totals{of: 7}), "mirrors [>                                       ] 0 of 7"},
		{"all, in the middle", totalLine(100, totals{of: 2000, done: 1000, failed: 1, received: 12345678, elapsed: 100 * time.Second}), "mirrors [=============>            ] 1,000 of 2,000, 1 failed, 11.77 MiB received, about 1m40s left"},
		{"all, in the end", totalLine(60, totals{of: 7, done: 7, elapsed: time.Hour}), "mirrors [========================================] 7 of 7"},
		{"all, when there is nothing to do", totalLine(60, totals{}), "mirrors [========================================] 0 of 0"},
		{"all, on a narrow terminal", totalLine(20, totals{of: 7, done: 1}), "mirrors 1 of 7"},
		{"what could steer the terminal", repositoryLine(60, "b:PRJ/a\x1b[2J", gitProgress{}, "\x9b1A\tred\r\n日本", 0), "b:PRJ/a [2J          ?1A red  ??"},
	} {
		if c.got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, c.got, c.want)
		}
	}
}

func TestNoLineIsWiderThanTheTerminal(t *testing.T) {
	t.Parallel()
	name := "bitbucket:" + strings.Repeat("Ä", 80) + "/" + strings.Repeat("x", 128)
	for width := range 200 {
		for _, line := range []string{
			listingLine(width, name, 1<<40, width),
			repositoryLine(width, name, gitProgress{}, name, width),
			repositoryLine(width, name, parseGitProgress("Receiving objects:  50% (5/10), 1.20 MiB | 2.40 MiB/s"), "", width),
			repositoryLine(width, "b:P/a", parseGitProgress("Receiving objects: 100% (5/10), 1.20 MiB | 2.40 MiB/s"), "", width),
			repositoryLine(width, name, parseGitProgress("Counting objects: 123456789"), "", width),
			totalLine(width, totals{of: 1 << 40, done: 1 << 39, failed: 1 << 38, received: 1 << 50, elapsed: 100 * time.Hour}),
		} {
			if n := utf8.RuneCountInString(line); n > max(width-1, 0) {
				t.Errorf("%d columns for %d: %q", n, width, line)
			}
		}
	}
}

func TestTheEstimate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		totals totals
		want   string
	}{
		{totals{of: 100, done: 2, elapsed: time.Minute}, ""},
		{totals{of: 100, done: 50, elapsed: time.Second}, ""},
		{totals{of: 100, done: 100, elapsed: time.Minute}, ""},
		{totals{of: 100, done: 50, elapsed: time.Minute}, "1m0s"},
		{totals{of: 1000, done: 999, elapsed: time.Minute}, "1s"},
		{totals{of: 1000, done: 10, elapsed: time.Minute + time.Millisecond}, "1h39m0s"},
	} {
		left, ok := c.totals.left()
		if got := left.String(); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%+v: %s %t, want %q", c.totals, got, ok, c.want)
		}
	}
}

func TestNumbersInWords(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 bytes", 1: "1 byte", 1023: "1023 bytes", 1024: "1.00 KiB", 1<<20 - 1: "1.00 MiB", 12345678: "11.77 MiB", 1 << 40: "1.00 TiB", 1 << 52: "4096.00 TiB",
	} {
		if got := bytesInWords(n); got != want {
			t.Errorf("%d bytes: %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -123: "-123", -1234: "-1,234"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
