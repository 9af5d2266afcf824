package app

import (
	"strings"
	"testing"
)

func TestWhatRiverTellsIsForDebugging(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		level string
		want  []string
	}{
		{"info", []string{"level=ERROR", "level=WARN"}},
		{"debug", []string{"level=ERROR", "level=WARN", "level=DEBUG"}},
		{"error", []string{"level=ERROR"}},
	} {
		t.Run(c.level, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			log, err := NewLogger(&out, "text", c.level)
			if err != nil {
				t.Fatal(err)
			}
			river := riverLogger(log).With("queue", "fetch").WithGroup("river")
			river.Error("cannot fetch jobs")
			river.Warn("a job is stuck")
			river.Info("job counts", "completed", 1)
			got := strings.Split(strings.TrimSpace(out.String()), "\n")
			if len(got) != len(c.want) {
				t.Fatalf("%d lines, want %d:\n%s", len(got), len(c.want), &out)
			}
			for i, want := range c.want {
				if !strings.Contains(got[i], want) || !strings.Contains(got[i], "queue=fetch") {
					t.Errorf("line %d is %q, want it to hold %s and the attributes", i, got[i], want)
				}
			}
		})
	}
}
