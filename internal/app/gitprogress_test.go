package app

import "testing"

func TestParseGitProgress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line string
		want gitProgress
	}{
		{"Receiving objects:  42% (420/1000), 1.20 MiB | 2.40 MiB/s", gitProgress{phase: "receiving", percent: 42, rate: "1.20 MiB | 2.40 MiB/s"}},
		{"Receiving objects:   0% (1/1000)", gitProgress{phase: "receiving"}},
		{"Receiving objects: 100% (1000/1000), 9.99 GiB | 512.00 KiB/s, done.", gitProgress{phase: "receiving", percent: 100, rate: "9.99 GiB | 512.00 KiB/s", done: true}},
		{"Receiving objects: 100% (3/3), 234 bytes | 234.00 KiB/s, done.", gitProgress{phase: "receiving", percent: 100, rate: "234 bytes | 234.00 KiB/s", done: true}},
		{"Receiving objects:  10% (1/10), 99 bytes | 12 bytes/s", gitProgress{phase: "receiving", percent: 10, rate: "99 bytes | 12 bytes/s"}},
		{"Resolving deltas:   9% (9/100)", gitProgress{phase: "resolving", percent: 9}},
		{"Resolving deltas: 100% (100/100), completed with 3 local objects.", gitProgress{phase: "resolving", percent: 100}},
		{"remote: Counting objects:  50% (1/2)", gitProgress{phase: "counting", percent: 50}},
		{"remote: Compressing objects: 100% (7/7), done.", gitProgress{phase: "compressing", percent: 100, done: true}},
		{"Counting objects: 100% (5/5), done.\r", gitProgress{phase: "counting", percent: 100, done: true}},
		{"remote: Enumerating objects: 123456", gitProgress{phase: "counting", percent: -1, count: "123456"}},
		{"Counting objects: 5, done.", gitProgress{phase: "counting", percent: -1, count: "5", done: true}},
		{"Checking connectivity: 1000, done.", gitProgress{phase: "checking", percent: -1, count: "1000", done: true}},
		{"Receiving objects: 999% (9/1)", gitProgress{phase: "receiving", percent: 100}},
		{"remote: Total 5 (delta 0), reused 0 (delta 0), pack-reused 0", gitProgress{}},
		{"remote: The repository has moved: 5 objects", gitProgress{}},
		{"Writing objects: 100% (1/1)", gitProgress{}},
		{"Receiving objects: lots", gitProgress{}},
		{"Receiving objects", gitProgress{}},
		{"", gitProgress{}},
	} {
		if got := parseGitProgress(c.line); got != c.want {
			t.Errorf("%q: %+v, want %+v", c.line, got, c.want)
		}
	}
}
