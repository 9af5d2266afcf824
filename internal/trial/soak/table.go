package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// table returns what was measured and done.
func table(samples []sample, w *world) string {
	var out strings.Builder
	if enough(samples) {
		_, _ = fmt.Fprintf(&out, "\n%d samples; medians of the first, the second and the last quarter\n", len(samples))
		t := tabwriter.NewWriter(&out, 0, 8, 2, ' ', tabwriter.AlignRight)
		_, _ = fmt.Fprintln(t, "\tfirst\tsecond\tlast\tmost\t")
		for _, f := range figures {
			early, late := f.quarters(samples)
			_, _ = fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t\n", f.name, f.median(samples[:len(samples)/4]), early, late, f.most(samples))
		}
		_ = t.Flush() // into memory
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = fmt.Fprintln(&out)
	for _, what := range slices.Sorted(maps.Keys(w.counts)) {
		_, _ = fmt.Fprintf(&out, "%7d %s\n", w.counts[what], what)
	}
	return out.String()
}

// verdict returns what was wrong, or nil.
func (w *world) verdict(samples []sample) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, text := range w.wrong {
		errs = append(errs, errors.New(text))
	}
	for _, line := range []string{"panic:", "fatal error:", "DATA RACE"} {
		if strings.Contains(w.server.Log.String(), line) {
			errs = append(errs, fmt.Errorf("the server's log has %q", line))
		}
	}
	if !enough(samples) {
		return errors.Join(append(errs, errors.New("too few samples to compare: run longer, or sample more often"))...)
	}
	for _, f := range figures {
		early, late := f.quarters(samples)
		if f.grown > 0 && late > early*f.grown+f.slack {
			errs = append(errs, fmt.Errorf("%s grew from %.1f to %.1f", f.name, early, late))
		}
	}
	return errors.Join(errs...)
}
