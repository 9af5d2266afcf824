package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// row is one line of the table.
type row struct {
	what     string
	against  string // what stands on the other side of the ratio
	measured string // ours, and theirs
	ratio    float64
	aim      aim
}

// aim is what a ratio should be. The zero aim is none.
type aim struct {
	text string
	met  func(ratio float64) bool
}

func atLeast(limit float64) aim {
	return aim{fmt.Sprintf("≥ %g", limit), func(ratio float64) bool { return ratio >= limit }}
}

func atMost(limit float64) aim {
	return aim{fmt.Sprintf("≤ %g", limit), func(ratio float64) bool { return ratio <= limit }}
}

// absolute is an aim for a measured value, whatever its ratio to the other side is.
func absolute(text string, met bool) aim {
	return aim{text, func(float64) bool { return met }}
}

// within is the aim that our fastest turn took no longer than limit.
func within(limit time.Duration, best float64) aim {
	return absolute("≤ "+limit.String(), best <= float64(limit))
}

func (a aim) verdict(ratio float64) string {
	switch {
	case a.met == nil:
		return ""
	case a.met(ratio):
		return "met"
	default:
		return "missed"
	}
}

func print(out io.Writer, table []row) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "WHAT\tAGAINST\tMEASURED\tRATIO\tAIM\t")
	for _, r := range table {
		ratio := "-"
		if r.ratio != 0 {
			ratio = fmt.Sprintf("%.2f", r.ratio)
		}
		text := r.aim.text
		if text == "" {
			text = "-"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.what, r.against, r.measured, ratio, text, r.aim.verdict(r.ratio))
	}
	return w.Flush() // the writes before it were to memory
}

// fastest says what within judges.
func fastest(best float64) string { return ", fastest " + short(time.Duration(best)) }

// versus says both sides of a measurement of time.
func versus(ours, theirs time.Duration) string {
	return short(ours) + " / " + short(theirs)
}

// short rounds a duration to three digits.
func short(d time.Duration) string {
	for unit := time.Duration(1); ; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit).String()
		}
	}
}
