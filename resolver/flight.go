package resolver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// errPanicked means that the work of a flight panicked. The stack is in the log.
var errPanicked = errors.New("resolving panicked")

// flights does concurrent work of one key once. It is safe for concurrent use.
type flights struct {
	group  singleflight.Group
	shared *atomic.Uint64 // how many callers took part in the work of another
	log    *slog.Logger
}

// A flight whose work does not obey its context is given up so long after its deadline.
const flightGrace = time.Second

// fly returns what work returns. Callers with the same key share one run of it, which has
// timeout and is not canceled with any of them. Each waits no longer than its own
// context allows: its error is then that of the context, and when the time is up, ErrBitbucketTimeout too.
// For who does not wait any more nothing is begun: a batch goes on after its client has
// gone. A panic of work is an error, so that a damaged mirror does not end the program.
func fly[T any](ctx context.Context, f *flights, key string, timeout time.Duration, work func(context.Context) (T, error)) (T, error) {
	var none T
	if err := notWaiting(ctx); err != nil {
		return none, err
	}
	mine := false // written by the flight that this call starts, read after its end only
	done := f.group.DoChan(key, func() (result any, err error) {
		mine = true
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				f.log.ErrorContext(ctx, "resolving panicked", "panic", p, "stack", string(debug.Stack()))
				err = fmt.Errorf("%w: %v", errPanicked, p)
			}
		}()
		return work(ctx)
	})
	givenUp := time.NewTimer(timeout + flightGrace)
	defer givenUp.Stop()
	select {
	case landed := <-done:
		if !mine {
			f.shared.Add(1)
		}
		if landed.Err != nil {
			return none, landed.Err
		}
		return landed.Val.(T), nil
	case <-ctx.Done():
		return none, notWaiting(ctx)
	case <-givenUp.C:
		f.group.Forget(key)
		return none, fmt.Errorf("%w: gave up after %v", ErrBitbucketTimeout, timeout+flightGrace)
	}
}

// notWaiting returns why a caller has stopped waiting, nil while it waits.
func notWaiting(ctx context.Context) error {
	err := ctx.Err()
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrBitbucketTimeout, err)
	}
	return err
}
