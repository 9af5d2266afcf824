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
		leave, err := g.enter(t.Context(), false, light)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []string
		var group sync.WaitGroup
		wait := func(name string, urgent bool) {
			group.Go(func() {
				leave, err := g.enter(t.Context(), urgent, light)
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
				leave, err := g.enter(t.Context(), false, light)
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

func TestGateLetsNoHeavyFetchesStandInTheWay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		limit   int
		running []weight // admitted before
		lasting time.Duration
		waiting []weight
		urgent  bool
		want    []int // of waiting, who enters
	}{
		{"one place is for all", 1, nil, 0, []weight{heavy, light}, false, []int{0}},
		{"of two places one is for light ones", 2, nil, 0, []weight{heavy, heavy, light}, false, []int{0, 2}},
		{"also when heavy ones are urgent", 2, nil, 0, []weight{heavy, heavy, light}, true, []int{0, 2}},
		{"light ones may take all", 3, nil, 0, []weight{light, light, light, light}, false, []int{0, 1, 2}},
		{"heavy ones take what is left", 3, []weight{light}, 0, []weight{heavy, heavy, heavy}, false, []int{0, 1}},
		{"long ones take half", 4, nil, 0, []weight{long, long, long, heavy, light}, false, []int{0, 1, 3, 4}},
		{"one long one at least", 3, nil, 0, []weight{long, long, heavy}, false, []int{0, 2}},
		{"a heavy one that runs is not long yet", 4, []weight{heavy, heavy}, time.Minute, []weight{long, long}, false, []int{0}},
		{"a heavy one that runs long keeps long ones out", 4, []weight{heavy, heavy}, longAfter, []weight{long, heavy, heavy}, false, []int{1}},
		{"first clones that all turn out to be long leave a place for light ones", 5, []weight{heavy, heavy, heavy, heavy}, time.Hour, []weight{heavy, light}, false, []int{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				g := newGate(c.limit)
				for _, w := range c.running {
					if _, err := g.enter(ctx, false, w); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(c.lasting)
				var mu sync.Mutex
				var entered []int
				for i, w := range c.waiting {
					go func() {
						if _, err := g.enter(ctx, c.urgent, w); err == nil {
							mu.Lock()
							defer mu.Unlock()
							entered = append(entered, i)
						}
					}()
					synctest.Wait()
				}
				mu.Lock()
				defer mu.Unlock()
				if !slices.Equal(entered, c.want) {
					t.Errorf("%v entered, want %v", entered, c.want)
				}
			})
		})
	}
}

// Nobody is passed over for ever: a heavy one that waits enters before light ones that came later.
func TestGateIsFair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2)
		var mu sync.Mutex
		var order []int
		var group sync.WaitGroup
		for i, w := range []weight{light, light, light, heavy, light, heavy, light} {
			group.Go(func() {
				leave, err := g.enter(t.Context(), false, w)
				if err != nil {
					t.Error(err)
					return
				}
				defer leave()
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(time.Duration(10+i) * time.Second)
			})
			synctest.Wait()
		}
		group.Wait()
		if want := []int{0, 1, 2, 3, 4, 5, 6}; !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
	})
}

func TestWeights(t *testing.T) {
	t.Parallel()
	var s slow
	r := Record{Repository: repo(1, "PRJ/a")}
	fetched := r
	fetched.Mirror.LastFetch = time.Unix(1, 0)
	large := fetched
	large.Mirror.SizeBytes = heavySize
	for _, c := range []struct {
		r    Record
		want weight
	}{{r, heavy}, {fetched, light}, {large, heavy}} {
		if got := s.weigh(c.r); got != c.want {
			t.Errorf("weight %v of %+v, want %v", got, c.r.Mirror, c.want)
		}
	}
	s.note(id(1), longAfter)
	if got := s.weigh(fetched); got != long {
		t.Errorf("weight %v after a long fetch, want long", got)
	}
	s.note(id(1), time.Second)
	if got := s.weigh(fetched); got != light {
		t.Errorf("weight %v after a short fetch, want light", got)
	}
}

func TestGateIsLeftByWhoeverStopsWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		leave, err := g.enter(t.Context(), false, light)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.enter(ctx, true, light); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want that of the context", err)
		}
		leave()
		if leave, err = g.enter(t.Context(), false, light); err != nil {
			t.Fatal(err)
		}
		leave()
		if inside, waiting := g.load(); inside+waiting != 0 {
			t.Errorf("%d inside, %d waiting", inside, waiting)
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
