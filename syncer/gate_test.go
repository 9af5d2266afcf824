package syncer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestGateLetsTheUrgentGoFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		leave, err := g.enter(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []string
		var group sync.WaitGroup
		wait := func(name string, urgent bool) {
			group.Go(func() {
				leave, err := g.enter(t.Context(), urgent)
				if err != nil {
					t.Error(err)
					return
				}
				defer leave()
				mu.Lock()
				defer mu.Unlock()
				order = append(order, name)
			})
			synctest.Wait() // until it stands in line
		}
		wait("first", false)
		wait("second", false)
		wait("urgent", true)
		leave()
		group.Wait()
		if want := []string{"urgent", "first", "second"}; !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
	})
}

func TestGateFollowsItsLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2)
		inside, most := 0, 0
		var mu sync.Mutex
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				leave, err := g.enter(t.Context(), false)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				inside++
				most = max(most, inside)
				mu.Unlock()
				time.Sleep(time.Second) // in the bubble's time
				mu.Lock()
				inside--
				mu.Unlock()
				leave()
			})
		}
		want := func(when string, want int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if inside != want {
				t.Errorf("%d inside %s, want %d", inside, when, want)
			}
		}
		want("at first", 2)
		g.resize(5)
		want("after the limit rose", 5)
		g.resize(1)
		time.Sleep(1500 * time.Millisecond)
		want("after the limit fell", 1)
		group.Wait()
		if most != 5 {
			t.Errorf("%d inside at most, want 5", most)
		}
	})
}

func TestGateIsLeftByWhoeverStopsWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		leave, err := g.enter(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.enter(ctx, true); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want that of the context", err)
		}
		leave()
		if leave, err = g.enter(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		leave()
		if g.inside != 0 || len(g.urgent)+len(g.others) != 0 {
			t.Errorf("%d inside, %d waiting", g.inside, len(g.urgent)+len(g.others))
		}
	})
}

func TestFlightsRunOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f flights[string]
		end, ok := f.tryBegin("a")
		if !ok || !f.busy("a") {
			t.Fatal("the first flight did not begin")
		}
		if _, ok := f.tryBegin("a"); ok {
			t.Error("a second flight began beside it")
		}
		if _, ok := f.tryBegin("b"); !ok {
			t.Error("a flight of another key did not begin")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.begin(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want that of the context", err)
		}
		time.AfterFunc(time.Minute, end)
		end, err := f.begin(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		end()
		if f.busy("a") {
			t.Error("busy after the end")
		}
	})
}

func TestACredentialIsCheckedOnceForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCredential()
		host := &codeHost{account: func() (string, error) {
			time.Sleep(time.Second)
			return "bot", nil
		}}
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				if account, err := c.check(t.Context(), host, false); account != "bot" || err != nil {
					t.Errorf("check: %q, %v", account, err)
				}
			})
		}
		group.Wait()
		if got := host.count("account"); got != 1 {
			t.Errorf("Bitbucket was asked %d times, want once", got)
		}
	})
}
