package bitbucket_test

import (
	"testing"
)

func BenchmarkParseURL(b *testing.B) {
	servers := world(b)
	for _, bench := range []struct{ name, url string }{
		{"file", "https://bitbucket.example.com/projects/PRJ/repos/repo/browse/cmd/a.go?at=refs%2Fheads%2Fmain#10-15"},
		{"encoded file", "https://bitbucket.example.com/projects/PRJ/repos/repo/browse/docs/a%20b%23c%3F.md?at=feature%2Fx"},
		{"pull request", "https://code.example.org:8443/git/bitbucket/projects/TEAM/repos/service/pull-requests/7/diff#cmd/a.go?t=12"},
		{"clone over ssh", "ssh://git@bitbucket.example.com:7999/prj/repo.git"},
		{"unknown host", "https://elsewhere.example/projects/PRJ/repos/repo"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = servers.ParseURL(bench.url)
			}
		})
	}
}

// The resolver parses each URL before it looks into its cache, so that parsing must cost
// no more than the texts that a location keeps.
func TestParseURLAllocatesOnlyWhatTheLocationKeeps(t *testing.T) {
	servers := world(t)
	for _, c := range []struct {
		url  string
		most float64
	}{
		{"https://bitbucket.example.com/projects/PRJ/repos/repo/browse/cmd/a.go", 0},
		{"https://bitbucket.example.com/projects/PRJ/repos/repo/browse/cmd/a.go?at=main", 0},
		{"https://bitbucket.example.com/projects/PRJ/repos/repo/browse/cmd/a.go?at=refs%2Fheads%2Fmain#10-15", 2},
		{"https://code.example.org:8443/git/bitbucket/projects/TEAM/repos/service/pull-requests/7/diff#a.go?t=1", 0},
	} {
		got := testing.AllocsPerRun(100, func() {
			if _, err := servers.ParseURL(c.url); err != nil {
				t.Fatal(err)
			}
		})
		if got > c.most {
			t.Errorf("ParseURL(%q): %v allocations, want at most %v", c.url, got, c.most)
		}
	}
}
