package browser

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Tab is a page in a browser. Scripts are expressions of JavaScript; a promise is waited for.
type Tab interface {
	// Open loads an address and returns when the page has been loaded.
	Open(ctx context.Context, address string) error
	// Evaluate runs a script in the page and reads its value, as JSON, into out. out may be nil.
	Evaluate(ctx context.Context, script string, out any) error
	// Screenshot returns what is seen of the page as PNG.
	Screenshot(ctx context.Context) ([]byte, error)
	// Close closes the tab.
	Close() error
}

// Pause is how long Wait waits between two looks.
const Pause = 20 * time.Millisecond

// Wait evaluates a script until its value is neither false, null, 0 nor "", and reads that
// value into out, which may be nil. When ctx ends, the error says what the last value was.
func Wait(ctx context.Context, tab Tab, script string, out any) error {
	for {
		var last json.RawMessage
		err := tab.Evaluate(ctx, script, &last)
		switch string(last) {
		case "", "false", "null", "0", `""`:
		default:
			if err == nil && out != nil {
				err = json.Unmarshal(last, out)
			}
			if err == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("browser: %s stayed %s: %w", script, last, cmp.Or(err, ctx.Err()))
		case <-time.After(Pause):
		}
	}
}
