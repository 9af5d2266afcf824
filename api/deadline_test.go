package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

type deadlineKey struct{}

func newDeadline(parent context.Context, d time.Duration) *deadline {
	return &deadline{Context: parent, at: time.Now().Add(d)}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(t *testing.T){
		"it ends for who waits": func(t *testing.T) {
			d := newDeadline(t.Context(), time.Second)
			begun := time.Now()
			<-d.Done()
			if waited := time.Since(begun); waited != time.Second || !errors.Is(d.Err(), context.DeadlineExceeded) {
				t.Errorf("after %v: %v", waited, d.Err())
			}
		},
		"it ends for who looks": func(t *testing.T) {
			d := newDeadline(t.Context(), time.Second)
			if err := d.Err(); err != nil {
				t.Errorf("before its time: %v", err)
			}
			time.Sleep(time.Second)
			if !errors.Is(d.Err(), context.DeadlineExceeded) || !errors.Is(context.Cause(d), context.DeadlineExceeded) {
				t.Errorf("after its time: %v, cause %v", d.Err(), context.Cause(d))
			}
			<-d.Done()
		},
		"it ends with its parent": func(t *testing.T) {
			for _, wait := range []bool{true, false} {
				parent, cancel := context.WithCancel(t.Context())
				d := newDeadline(parent, time.Second)
				if wait {
					go cancel()
					<-d.Done()
				}
				cancel()
				if !errors.Is(d.Err(), context.Canceled) {
					t.Errorf("waited is %v: %v", wait, d.Err())
				}
			}
		},
		"it ends when it is ended": func(t *testing.T) {
			for _, wait := range []bool{true, false} {
				d := newDeadline(t.Context(), time.Second)
				if wait {
					_ = d.Done()
				}
				d.end()
				<-d.Done()
				if !errors.Is(d.Err(), context.Canceled) {
					t.Errorf("waited is %v: %v", wait, d.Err())
				}
			}
		},
		"it ends its children": func(t *testing.T) {
			d := newDeadline(t.Context(), time.Second)
			child, cancel := context.WithTimeout(d, time.Hour)
			defer cancel()
			<-child.Done()
			if !errors.Is(child.Err(), context.DeadlineExceeded) {
				t.Error(child.Err())
			}
		},
		"it has the values of its parent and the earlier end": func(t *testing.T) {
			parent, cancel := context.WithTimeout(context.WithValue(t.Context(), deadlineKey{}, "here"), time.Minute)
			defer cancel()
			early, late := newDeadline(parent, time.Second), newDeadline(parent, time.Hour)
			if at, ok := early.Deadline(); !ok || time.Until(at) != time.Second {
				t.Errorf("the early one ends in %v", time.Until(at))
			}
			if at, ok := late.Deadline(); !ok || time.Until(at) != time.Minute {
				t.Errorf("the late one ends in %v", time.Until(at))
			}
			for range 2 {
				if got := early.Value(deadlineKey{}); got != "here" {
					t.Errorf("value %v", got)
				}
				_ = early.Done()
			}
			early.end()
			late.end()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, test)
		})
	}
}
