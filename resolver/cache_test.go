package resolver

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestBoundedCacheReturnsWhatWasPut(t *testing.T) {
	t.Parallel()
	c := newBoundedCache[int](100)
	if _, _, ok := c.get("a"); ok {
		t.Error("an empty cache returns something")
	}
	c.put("a", 1, time.Minute)
	c.put("b", 2, 0)
	for range 3 {
		if v, expires, ok := c.get("a"); !ok || v != 1 || time.Until(expires) <= 0 {
			t.Errorf("get(a) = %d, %v, %t", v, expires, ok)
		}
	}
	if _, _, ok := c.get("b"); ok {
		t.Error("a value without a lifetime is kept")
	}
	c.put("a", 3, time.Minute)
	if v, _, _ := c.get("a"); v != 3 {
		t.Errorf("get(a) after another put = %d, want 3", v)
	}
	if c.len() != 1 {
		t.Errorf("len = %d, want 1", c.len())
	}
}

func TestBoundedCacheForgetsWhatExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newBoundedCache[int](100)
		c.put("probation", 1, time.Minute)
		c.put("protected", 2, time.Minute)
		c.get("protected")
		time.Sleep(time.Minute + time.Second)
		for _, key := range []string{"probation", "protected"} {
			if _, _, ok := c.get(key); ok {
				t.Errorf("%s is there after its time", key)
			}
			c.put(key, 3, time.Minute)
			if v, _, ok := c.get(key); !ok || v != 3 {
				t.Errorf("get(%s) after another put = %d, %t", key, v, ok)
			}
		}
		if c.len() != 2 {
			t.Errorf("len = %d, want 2", c.len())
		}
	})
}

func TestBoundedCacheKeepsWhatIsAskedForUnderAFlood(t *testing.T) {
	t.Parallel()
	for _, entries := range []int{8, 64, 1000} {
		t.Run(fmt.Sprintf("%d entries", entries), func(t *testing.T) {
			t.Parallel()
			c := newBoundedCache[int](entries)
			useful := entries / 4
			put := func(i int) { c.put("useful "+strconv.Itoa(i), i, time.Hour); c.get("useful " + strconv.Itoa(i)) }
			for i := range useful {
				put(i)
			}
			lost := 0
			for i := range 50 * entries {
				c.put("made up "+strconv.Itoa(i), i, time.Hour)
				if n := c.len(); n > entries {
					t.Fatalf("%d entries, want at most %d", n, entries)
				}
			}
			for i := range useful {
				if _, _, ok := c.get("useful " + strconv.Itoa(i)); !ok {
					lost++
				}
			}
			// Shards fill unevenly, so that a few keys may not fit into the protected part of theirs.
			if lost > useful/20 {
				t.Errorf("%d of %d useful keys were pushed out", lost, useful)
			}
			if _, evictions := c.counts(); evictions == 0 {
				t.Error("no eviction was counted")
			}
		})
	}
}

func TestBoundedCacheEvictsTheLongestUnusedOfTheProtected(t *testing.T) {
	t.Parallel()
	c := newBoundedCache[int](8) // 2 on probation, 6 protected, one shard
	for i := range 6 {
		c.put(strconv.Itoa(i), i, time.Hour)
		c.get(strconv.Itoa(i))
	}
	// The round that makes room for 6 takes the marks of all and puts 0 back on
	// probation; 1 is used again, so that 2 makes room for 7.
	c.put("6", 6, time.Hour)
	c.get("6")
	c.get("1")
	c.put("7", 7, time.Hour)
	c.get("7")
	s := &c.shards[0]
	for key, want := range map[string]bool{"0": false, "1": true, "2": false, "3": true, "6": true, "7": true} {
		if got := s.protected.get(key) != nil; got != want {
			t.Errorf("key %s is protected: %t, want %t", key, got, want)
		}
	}
	if s.probation.get("2") == nil {
		t.Error("what lost its protection is not on probation")
	}
}

func TestBoundedCacheUnderConcurrentUse(t *testing.T) {
	t.Parallel()
	c := newBoundedCache[int](128)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 5000 {
				key := strconv.Itoa((i * (g + 1)) % 400)
				if v, _, ok := c.get(key); ok && strconv.Itoa(v) != key {
					t.Errorf("get(%s) = %d", key, v)
					return
				}
				v, _ := strconv.Atoi(key)
				c.put(key, v, time.Hour)
			}
		})
	}
	wg.Wait()
	if n := c.len(); n > 128 {
		t.Errorf("%d entries, want at most 128", n)
	}
	for i := range c.shards {
		for _, s := range []*segment[int]{&c.shards[i].probation, &c.shards[i].protected} {
			n := 0
			for e := s.root.next; e != &s.root; e = e.next {
				n++
			}
			if n != s.length || n != s.items.ItemCount() {
				t.Errorf("ring %d, length %d, items %d: want the same", n, s.length, s.items.ItemCount())
			}
		}
	}
}

// A key that one reader moves to the protected part is not missed by another meanwhile.
func TestReadersFindWhatIsBeingMoved(t *testing.T) {
	t.Parallel()
	c := newBoundedCache[int](256)
	for round := range 2000 {
		key := fmt.Sprint(round)
		c.put(key, round, time.Hour)
		var missed atomic.Int32
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				if _, _, ok := c.get(key); !ok {
					missed.Add(1)
				}
			})
		}
		readers.Wait()
		if n := missed.Load(); n > 0 {
			t.Fatalf("round %d: %d of 4 readers did not find the key", round, n)
		}
	}
}
