package webhook

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

// world is an index with three repositories, and a queue that notes what is asked of it.
type world struct {
	*Receiver
	store func(ctx context.Context) error // of a job; may be nil
	read  error                           // of the index

	mu        sync.Mutex
	known     map[int64]Known
	fetches   []int64
	listings  int
	forgotten []int64
}

var canary = siteconfig.NewSecret("canary-of-the-webhooks")

func newWorld(t *testing.T) *world {
	t.Helper()
	id := func(n int64) bitbucket.RepoID { return bitbucket.RepoID{Connection: "bb", Number: n} }
	w := &world{known: map[int64]Known{
		42: {id(42), bitbucket.Address{Key: "PRJ", Slug: "app"}, true},
		43: {id(43), bitbucket.Address{Key: "PRJ", Slug: "lib"}, true},
		50: {id(50), bitbucket.Address{Key: "XCL", Slug: "secret"}, false},
	}}
	r, err := New(Options{Index: w, Jobs: w, Forget: func(repo bitbucket.RepoID) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.forgotten = append(w.forgotten, repo.Number)
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.SetConfig(&siteconfig.Config{Connections: []siteconfig.Connection{{Name: "bb", WebhookSecret: canary}, {Name: "open"}}})
	w.Receiver = r
	return w
}

func (w *world) Known(_ context.Context, id bitbucket.RepoID) (Known, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	found, ok := w.known[id.Number]
	if !ok {
		return Known{}, ErrUnknownRepository
	}
	return found, w.read
}

func (w *world) KnownAt(_ context.Context, _ string, address bitbucket.Address) (Known, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, found := range w.known {
		if strings.EqualFold(found.Address.String(), address.String()) {
			return found, w.read
		}
	}
	return Known{}, ErrUnknownRepository
}

func (w *world) FetchSoon(ctx context.Context, repo bitbucket.RepoID) error {
	if w.store != nil {
		if err := w.store(ctx); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fetches = append(w.fetches, repo.Number)
	return nil
}

func (w *world) ListSoon(ctx context.Context, _ string) error {
	if w.store != nil {
		if err := w.store(ctx); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listings++
	return nil
}

func (w *world) deliver(ctx context.Context, key, body string) (Outcome, error) {
	return w.Receive(ctx, "bb", Header{Event: key, Signature: Sign(canary, []byte(body)), RequestID: "f00"}, []byte(body))
}

func repositoryBody(number int64, key, slug string) string {
	return fmt.Sprintf(`{"repository":{"id":%d,"slug":%q,"project":{"key":%q}},"changes":[]}`, number, slug, key)
}

// settled waits until no run is under way or waits for its gap.
func settled() {
	time.Sleep(5 * time.Minute)
	synctest.Wait()
}

func TestReceive(t *testing.T) {
	t.Parallel()
	swapped := `{"old":{"id":42,"slug":"app","project":{"key":"PRJ"}},"new":{"id":42,"slug":"lib","project":{"key":"PRJ"}}}`
	same := `{"old":{"id":42,"slug":"app","project":{"key":"PRJ"}},"new":{"id":42,"slug":"app","project":{"key":"PRJ"}}}`
	for name, c := range map[string]struct {
		key, body string
		want      Outcome
		fetches   []int64
		listings  int
		forgotten []int64
	}{
		"a push fetches, and pull requests follow their branches":          {"repo:refs_changed", builtInPush, Fetching, []int64{42}, 0, []int64{42}},
		"a plugin's push is found by its address":                          {"repo:push", pluginPush, Fetching, []int64{42}, 0, []int64{42}},
		"in any case of letters":                                           {"repo:push", `{"repository":{"slug":"APP","project":{"key":"prj"}}}`, Fetching, []int64{42}, 0, []int64{42}},
		"a mirror has caught up":                                           {"mirror:repo_synchronized", synchronized, Fetching, []int64{42}, 0, []int64{42}},
		"a pull request is forgotten":                                      {"pr:from_ref_updated", opened, Forgotten, nil, 0, []int64{42}},
		"a rename lists the connection":                                    {"repo:modified", swapped, Listing, nil, 1, nil},
		"another change lists the connection":                              {"repo:modified", same, Listing, nil, 1, nil},
		"a push of an excluded repository does nothing":                    {"repo:refs_changed", repositoryBody(50, "XCL", "secret"), NotSelected, nil, 0, nil},
		"a pull request of one does nothing":                               {"pr:opened", repositoryBody(50, "XCL", "secret"), NotSelected, nil, 0, nil},
		"an unknown repository is looked for":                              {"repo:refs_changed", repositoryBody(99, "PRJ", "new"), Listing, nil, 1, nil},
		"one that took a known one's address is unknown":                   {"repo:refs_changed", repositoryBody(99, "PRJ", "app"), Listing, nil, 1, nil},
		"a push under a new address fetches and looks":                     {"repo:refs_changed", repositoryBody(42, "NEW", "app"), Fetching, []int64{42}, 1, []int64{42}},
		"a pull request under a new address is forgotten":                  {"pr:opened", repositoryBody(42, "NEW", "app"), Listing, nil, 1, []int64{42}},
		"an excluded one that moved may be selected now":                   {"repo:refs_changed", repositoryBody(50, "PRJ", "secret"), Listing, nil, 1, nil},
		"a push without an address is found by its number":                 {"repo:refs_changed", `{"repository":{"id":43}}`, Fetching, []int64{43}, 0, []int64{43}},
		"a move of one without a number is found by its old address":       {"repo:modified", `{"old":{"slug":"app","project":{"key":"PRJ"}},"new":{"slug":"app2","project":{"key":"PRJ"}}}`, Listing, nil, 1, nil},
		"a comment is ignored":                                             {"repo:comment:added", builtInPush, Ignored, nil, 0, nil},
		"an unknown key is ignored":                                        {"repo:exploded", `{}`, Ignored, nil, 0, nil},
		"a signed ping whose header was lost is answered and does nothing": {"", `{"test":true}`, Pinged, nil, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				got, err := w.deliver(t.Context(), c.key, c.body)
				settled()
				if err != nil || got != c.want {
					t.Errorf("Receive: %q, %v; want %q", got, err, c.want)
				}
				if diff := cmp.Diff(c.fetches, w.fetches); diff != "" || w.listings != c.listings {
					t.Errorf("fetches (-want +got):\n%s\n%d listings, want %d", diff, w.listings, c.listings)
				}
				if diff := cmp.Diff(c.forgotten, w.forgotten); diff != "" {
					t.Errorf("forgotten (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestReceiveRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	signed := Header{Event: "repo:refs_changed", Signature: Sign(canary, []byte(builtInPush))}
	for name, c := range map[string]struct {
		connection string
		header     Header
		body       string
		err        error
	}{
		"an unknown connection":                       {"other", signed, builtInPush, ErrUnknownConnection},
		"a ping of an unknown connection":             {"other", Header{Event: "diagnostics:ping"}, `{"test":true}`, ErrUnknownConnection},
		"a connection without a secret":               {"open", signed, builtInPush, ErrNotConfigured},
		"one signed with the empty secret":            {"open", Header{Event: "repo:refs_changed", Signature: Sign(siteconfig.Secret{}, []byte(builtInPush))}, builtInPush, ErrNotConfigured},
		"no signature":                                {"bb", Header{Event: "repo:refs_changed"}, builtInPush, ErrSignature},
		"a wrong signature":                           {"bb", Header{Signature: Sign(siteconfig.NewSecret("other"), []byte(builtInPush))}, builtInPush, ErrSignature},
		"another body under the signature":            {"bb", signed, builtInPush + " ", ErrSignature},
		"a ping by its body alone":                    {"bb", Header{}, `{"test":true}`, ErrSignature},
		"a signed body that is none":                  {"bb", Header{Signature: Sign(canary, []byte("x"))}, "x", ErrUnreadable},
		"an unsigned body that is none, is not read":  {"bb", Header{}, "x", ErrSignature},
		"a wrongly signed one that is none, likewise": {"bb", Header{Signature: strings.Repeat("00", 32)}, "x", ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.Receive(t.Context(), c.connection, c.header, []byte(c.body))
			if !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			if err != nil && strings.Contains(err.Error(), canary.Reveal()) {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
	for _, connection := range []string{"bb", "open"} {
		outcome, err := w.Receive(t.Context(), connection, Header{Event: "diagnostics:ping"}, nil)
		if err != nil || outcome != Pinged {
			t.Errorf("an unsigned ping of %s: %q, %v", connection, outcome, err)
		}
	}
	if len(w.fetches) > 0 || w.listings > 0 || len(w.forgotten) > 0 {
		t.Errorf("what was refused did something: %v %d %v", w.fetches, w.listings, w.forgotten)
	}
}

// A thousand deliveries in a second cost a few jobs, and none of them is lost.
func TestReceiveFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.store = func(context.Context) error { time.Sleep(20 * time.Millisecond); return nil }
		var all sync.WaitGroup
		for range 1000 {
			for _, body := range []string{builtInPush, repositoryBody(99, "PRJ", "new"), repositoryBody(50, "XCL", "secret")} {
				all.Go(func() {
					if _, err := w.deliver(t.Context(), "repo:refs_changed", body); err != nil {
						t.Error(err)
					}
				})
			}
			time.Sleep(time.Millisecond)
		}
		w.mu.Lock()
		before := len(w.fetches)
		w.mu.Unlock()
		all.Wait()
		w.mu.Lock()
		after := len(w.fetches)
		w.mu.Unlock()
		if after == before {
			t.Error("no fetch followed the last deliveries")
		}
		settled()
		if after > 6 || w.listings != 1 {
			t.Errorf("%d fetches and %d listings, want at most 6 and 1", after, w.listings)
		}
		// Minutes later it is the same for one that was looked for, and after an hour no more.
		w.deliverOK(t, repositoryBody(99, "PRJ", "new"), Unknown)
		time.Sleep(time.Hour)
		w.deliverOK(t, repositoryBody(99, "PRJ", "new"), Listing)
		settled()
		if w.listings != 2 {
			t.Errorf("%d listings, want 2", w.listings)
		}
	})
}

func (w *world) deliverOK(t *testing.T, body string, want Outcome) {
	t.Helper()
	if got, err := w.deliver(t.Context(), "repo:refs_changed", body); err != nil || got != want {
		t.Errorf("Receive: %q, %v; want %q", got, err, want)
	}
}

// Many unknown repositories share one listing now and one in a minute.
func TestReceiveManyUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for n := range int64(maxSought + 10) {
			w.deliverOK(t, repositoryBody(1000+n, "PRJ", "new"), Listing)
		}
		settled()
		if w.listings != 2 {
			t.Errorf("%d listings, want 2", w.listings)
		}
		if len(w.sought.when) > maxSought {
			t.Errorf("%d repositories are remembered", len(w.sought.when))
		}
	})
}

// A push that comes while the fetch of an earlier one is being stored is not taken for done.
func TestReceiveAfterRunBegan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.store = func(context.Context) error { time.Sleep(time.Second); return nil }
		var both sync.WaitGroup
		both.Go(func() { w.deliverOK(t, builtInPush, Fetching) })
		synctest.Wait()
		both.Go(func() { w.deliverOK(t, builtInPush, Fetching) })
		both.Wait()
		if len(w.fetches) != 2 {
			t.Errorf("%d fetches were asked for, want 2", len(w.fetches))
		}
	})
}

func TestReceiveNotStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		full := errors.New("database or disk is full")
		w.store = func(context.Context) error { return full }
		unknown := repositoryBody(99, "PRJ", "new")
		for _, body := range []string{builtInPush, unknown} {
			if got, err := w.deliver(t.Context(), "repo:refs_changed", body); got != NotStored || !errors.Is(err, ErrNotStored) || !errors.Is(err, full) {
				t.Errorf("on a full disk: %q, %v", got, err)
			}
		}
		// A database that is busy for ever is not waited for.
		w.store = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		time.Sleep(2 * time.Second)
		begun := time.Now()
		if got, err := w.deliver(t.Context(), "repo:refs_changed", builtInPush); got != NotStored || !errors.Is(err, ErrNotStored) {
			t.Errorf("on a busy database: %q, %v", got, err)
		}
		if took := time.Since(begun); took > 6*time.Second {
			t.Errorf("the answer took %v", took)
		}
		// When it is well again, so are the deliveries: nothing of the failure is kept.
		w.store = nil
		time.Sleep(2 * time.Second)
		w.deliverOK(t, builtInPush, Fetching)
		w.deliverOK(t, unknown, Listing)
		w.read = errors.New("the index cannot be read")
		if got, err := w.deliver(t.Context(), "repo:refs_changed", builtInPush); got != NotStored || !errors.Is(err, ErrNotStored) {
			t.Errorf("without the index: %q, %v", got, err)
		}
		settled()
	})
}

func TestReceiveWhoGoesAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.store = func(context.Context) error { time.Sleep(time.Second); return nil }
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := w.deliver(ctx, "repo:refs_changed", builtInPush); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNotStored) {
			t.Errorf("error %v", err)
		}
		settled()
		if len(w.fetches) != 1 {
			t.Errorf("%d fetches, want the one that was asked for", len(w.fetches))
		}
	})
}

func (w *world) counted(t *testing.T, event, outcome string) float64 {
	t.Helper()
	var metric dto.Metric
	if err := w.deliveries.WithLabelValues("bb", event, outcome).Write(&metric); err != nil {
		t.Fatal(err)
	}
	return metric.GetCounter().GetValue()
}

func TestRecent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.deliverOK(t, builtInPush, Fetching)
		_, _ = w.Receive(t.Context(), "bb", Header{Event: "repo:refs_changed\x1b[2J" + strings.Repeat("é", 500), RequestID: "a\nb"}, nil)
		got := w.Recent("bb")
		want := []Received{
			{Time: time.Now().UTC(), RequestID: "ab", Event: "repo:refs_changed[2J" + strings.Repeat("é", 80), Outcome: Refused},
			{Time: time.Now().UTC(), RequestID: "f00", Event: "repo:refs_changed", Kind: Push, Repository: "PRJ/app", Outcome: Fetching},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		time.Sleep(time.Second)
		for n := range 2 * keptDeliveries {
			w.deliverOK(t, repositoryBody(50, "XCL", fmt.Sprint("secret", n%2)), map[bool]Outcome{true: Listing, false: Unknown}[n < 2])
		}
		for range 10 * keptDeliveries { // strangers displace nothing
			_, _ = w.Receive(t.Context(), "open", Header{}, nil)
			time.Sleep(time.Millisecond)
		}
		if got := w.Recent("open"); len(got) != keptStrangers || got[0].Outcome != NotConfigured {
			t.Errorf("%d strangers are remembered", len(got))
		}
		if got := w.Recent("bb"); len(got) != keptDeliveries+1 || got[0].Repository != "XCL/secret1" || got[1].Repository != "XCL/secret0" {
			t.Errorf("%d deliveries are remembered, the last one %+v", len(got), got[0])
		}
		w.SetConfig(&siteconfig.Config{Connections: []siteconfig.Connection{{Name: "bb", WebhookSecret: siteconfig.NewSecret("next")}}})
		if len(w.Recent("bb")) != keptDeliveries+1 || w.Recent("open") != nil {
			t.Error("a new secret does not make a connection forget, and a connection that is gone remembers nothing")
		}
		if _, err := w.deliver(t.Context(), "repo:refs_changed", builtInPush); !errors.Is(err, ErrSignature) {
			t.Errorf("the secret of before: %v", err)
		}
		if got := w.counted(t, "push", "fetching"); got != 1 {
			t.Errorf("%v pushes are counted, want 1", got)
		}
		if got := w.counted(t, "other", "refused"); got != 2 {
			t.Errorf("%v refusals are counted, want 2", got)
		}
		settled()
	})
}
