package gitmirror

import "sync"

// firstFailure keeps the first thing that went wrong on the way to Bitbucket: what follows from it, in other
// layers, says less. Safe for concurrent use; the zero value is ready.
type firstFailure struct {
	mu     sync.Mutex
	failed error
}

// fail notes an error, unless there was one before, and returns it.
func (f *firstFailure) fail(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = err
	}
	return err
}

// failure returns the first error since forget, or nil. It implements that part of remote.
func (f *firstFailure) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// forget makes what comes a new beginning.
func (f *firstFailure) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = nil
}
