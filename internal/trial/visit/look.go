package visit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"example.com/signpost/internal/browser"
)

// witness is a script that writes down each look of the button; see Report.
//
//go:embed witness.js
var witness string

// The states of the button.
const (
	StateLink        = "link"
	StateLooking     = "looking"
	StateMissing     = "missing"
	StateUnset       = "unset"
	StateSignIn      = "signin"
	StateUnreachable = "unreachable"
)

// Look is how the button looks, while a page has an address.
type Look struct {
	Address string
	Count   int    // of buttons
	State   string // one of the states, "" without a button
	Link    string // what the button says that it links to
	Href    string // where it links to; "" at the edge, whose link lies in a closed shadow root
	Place   string // "edge", or "" in a toolbar
	Text    string
	Title   string
	Files   []string // where the links of the files of a diff lead
}

// Report is what the witness of a page saw.
type Report struct {
	Now    Look
	Seen   []SeenLook // the oldest first
	Loaded float64    // milliseconds since the navigation began, at DOMContentLoaded
}

// SeenLook is a Look, and when it began.
type SeenLook struct {
	Look
	At float64 // milliseconds since the navigation began
}

// Watch makes the tab write down the button's looks in every page that it opens from now on.
func Watch(ctx context.Context, tab *browser.ChromiumTab) error {
	return tab.EachDocument(ctx, witness)
}

// ReportOf returns what the witness of the page saw.
func ReportOf(ctx context.Context, tab browser.Tab) (r Report, err error) {
	return r, tab.Evaluate(ctx, `witness.report()`, &r)
}

// Settled waits until the button is there and done with looking, and returns what was seen.
func Settled(ctx context.Context, tab browser.Tab) (r Report, err error) {
	return Until(ctx, tab, func(now Look) bool { return now.State != "" && now.State != StateLooking })
}

// Until waits until the page looks as it should, and returns what was seen.
func Until(ctx context.Context, tab browser.Tab, is func(now Look) bool) (r Report, err error) {
	for {
		now, err := ReportOf(ctx, tab)
		if err == nil {
			if r = now; is(r.Now) {
				return r, nil
			}
		}
		select {
		case <-ctx.Done():
			return r, fmt.Errorf("it looks like this: %+v: %w", r.Now, errors.Join(err, ctx.Err()))
		case <-time.After(browser.Pause):
		}
	}
}

// Shown returns how long after DOMContentLoaded the button showed its link, and whether it did.
func (r Report) Shown() (time.Duration, bool) {
	for _, look := range r.Seen {
		if look.State == StateLink {
			return time.Duration((look.At - r.Loaded) * float64(time.Millisecond)), true
		}
	}
	return 0, false
}

// Check holds all that was seen against what the server says: never two buttons, and never a
// link other than that of the address that the page had.
func (w *World) Check(r Report) error {
	var errs []error
	links := make(map[string]string) // by address
	for _, look := range r.Seen {
		if look.Count > 1 {
			errs = append(errs, fmt.Errorf("%d buttons on %s", look.Count, look.Address))
		}
		if look.State != StateLink {
			if look.Link != "" || look.Href != "" {
				errs = append(errs, fmt.Errorf("state %s has a link: %+v", look.State, look.Look))
			}
			continue
		}
		want, ok := links[look.Address]
		if !ok {
			var err error
			if want, _, err = w.Resolve(look.Address); err != nil {
				return err
			}
			links[look.Address] = want
		}
		if look.Link != want || look.Place == "" && look.Href != want {
			errs = append(errs, fmt.Errorf("%s linked to %s (%s), want %s", look.Address, look.Link, look.Href, want))
		}
	}
	return errors.Join(errs...)
}
