package siteconfig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// memoryVersions are Versions in memory. A function field takes the place of a method.
type memoryVersions struct {
	mu     sync.Mutex
	all    []StoredVersion
	latest func() (StoredVersion, error)
	append func() error
}

func (m *memoryVersions) LatestVersion(context.Context) (StoredVersion, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.latest != nil {
		return m.latest()
	}
	if len(m.all) == 0 {
		return StoredVersion{}, ErrNoVersion
	}
	return m.all[len(m.all)-1], nil
}

func (m *memoryVersions) AppendVersion(ctx context.Context, expected int64, text, author string) (StoredVersion, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.append != nil {
		if err := m.append(); err != nil {
			return StoredVersion{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return StoredVersion{}, err
	}
	if int64(len(m.all)) != expected {
		return StoredVersion{}, ErrConflict
	}
	m.all = append(m.all, StoredVersion{Version: expected + 1, Text: text, Author: author, Created: time.Unix(expected, 0)})
	return m.all[expected], nil
}

func (m *memoryVersions) ListVersions(_ context.Context, limit int) ([]StoredVersion, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.Clone(m.all)
	slices.Reverse(all)
	return all[:min(limit, len(all))], nil
}

func (m *memoryVersions) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.all)
}

func newTestPublisher(t *testing.T, versions Versions) *Publisher {
	t.Helper()
	p, err := NewPublisher(PublisherOptions{Versions: versions, Check: testOptions()})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func loaded(t *testing.T, versions Versions) *Publisher {
	t.Helper()
	p := newTestPublisher(t, versions)
	if err := p.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func primaryText(i int) string { return fmt.Sprintf(`{"primaryURL": "https://sg%d.example.com"}`, i) }

func TestAPublisherNeedsExactlyOneSource(t *testing.T) {
	t.Parallel()
	for _, o := range []PublisherOptions{{}, {File: "x", Versions: &memoryVersions{}}} {
		if _, err := NewPublisher(o); err == nil {
			t.Errorf("NewPublisher(%+v) gives no error", o)
		}
	}
}

func TestNothingStoredIsAnEmptyConfigurationOfVersion0(t *testing.T) {
	t.Parallel()
	p := newTestPublisher(t, &memoryVersions{})
	if p.Current() != nil {
		t.Error("there is a configuration before Load")
	}
	var seen *Config
	p.Subscribe("test", func(_ context.Context, next *Config) (func(), error) { return func() { seen = next }, nil })
	if err := p.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := p.Current(); c == nil || c.Version != 0 || len(c.Connections) != 0 || seen != c {
		t.Errorf("current is %+v, the subscriber saw %+v", c, seen)
	}
	if stored, err := p.Text(t.Context()); err != nil || stored.Version != 0 || stored.Text != "" {
		t.Errorf("Text gives %+v, %v", stored, err)
	}
	if p.ReadOnly() {
		t.Error("a configuration of the database is read-only")
	}
}

func TestLoadPublishesTheNewestVersion(t *testing.T) {
	t.Parallel()
	versions := &memoryVersions{}
	for i := range 3 {
		if _, err := versions.AppendVersion(t.Context(), int64(i), primaryText(i), "test"); err != nil {
			t.Fatal(err)
		}
	}
	p := loaded(t, versions)
	if c := p.Current(); c.Version != 3 || c.Primary.String() != "https://sg2.example.com" {
		t.Errorf("current is %+v", c)
	}
}

func TestLoadOfATextThatBrokeSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	versions := &memoryVersions{all: []StoredVersion{{Version: 1, Text: `{"bitbucketServer": [{"url": "https://b.example.com", "token": "env:GONE"}]}`}}}
	p := newTestPublisher(t, versions)
	err := p.Load(t.Context())
	var said Problems
	if !errors.Is(err, ErrInvalid) || !errors.As(err, &said) || len(said) != 1 || p.Current() != nil {
		t.Errorf("error %v, current %v", err, p.Current())
	}
}

func TestPutPreparesThenStoresThenApplies(t *testing.T) {
	t.Parallel()
	versions := &memoryVersions{}
	p := newTestPublisher(t, versions)
	var steps []string
	for _, name := range []string{"first", "second"} {
		p.Subscribe(name, func(_ context.Context, next *Config) (func(), error) {
			steps = append(steps, fmt.Sprintf("%s prepares %d with %d stored", name, next.Version, versions.count()))
			return func() {
				steps = append(steps, fmt.Sprintf("%s applies %d with %d stored, current is %d", name, next.Version, versions.count(), p.Current().Version))
			}, nil
		})
	}
	p.Subscribe("without apply", func(context.Context, *Config) (func(), error) { return nil, nil })
	if err := p.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	steps = nil
	config, said, err := p.Put(t.Context(), primaryText(1), 0, "admin token")
	if err != nil || len(said) != 0 || config.Version != 1 || p.Current() != config {
		t.Fatalf("Put gives %+v, %v, %v", config, said, err)
	}
	want := []string{
		"first prepares 1 with 0 stored", "second prepares 1 with 0 stored",
		"first applies 1 with 1 stored, current is 1", "second applies 1 with 1 stored, current is 1",
	}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if stored, err := p.Text(t.Context()); err != nil || stored.Version != 1 || stored.Text != primaryText(1) || stored.Author != "admin token" {
		t.Errorf("Text gives %+v, %v", stored, err)
	}
}

func TestWhatCannotBePutLeavesEverythingAsItWas(t *testing.T) {
	t.Parallel()
	refusal, broken := errors.New("cannot be listened to"), errors.New("disk full")
	for _, c := range []struct {
		name     string
		text     string
		expected int64
		breakIt  func(*memoryVersions)
		refuse   error
		wantErr  error
		problems bool
	}{
		{name: "a text with errors", text: `{"primaryURL": "https://sourcegraph.com"}`, expected: 1, wantErr: ErrInvalid, problems: true},
		{name: "a text that is cut off", text: `{"primaryURL":`, expected: 1, wantErr: ErrInvalid, problems: true},
		{name: "an older expected version", text: primaryText(2), expected: 0, wantErr: ErrConflict},
		{name: "a newer expected version", text: primaryText(2), expected: 2, wantErr: ErrConflict},
		{name: "a subscriber that refuses", text: primaryText(2), expected: 1, refuse: refusal, wantErr: refusal},
		{name: "a store that fails", text: primaryText(2), expected: 1, breakIt: func(m *memoryVersions) { m.append = func() error { return broken } }, wantErr: broken},
		{name: "a store that was faster elsewhere", text: primaryText(2), expected: 1, breakIt: func(m *memoryVersions) { m.append = func() error { return ErrConflict } }, wantErr: ErrConflict},
		{name: "a store that cannot be read", text: primaryText(2), expected: 1, breakIt: func(m *memoryVersions) {
			m.latest = func() (StoredVersion, error) { return StoredVersion{}, broken }
		}, wantErr: broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			versions := &memoryVersions{all: []StoredVersion{{Version: 1, Text: primaryText(1)}}}
			p := newTestPublisher(t, versions)
			applied, refuse := 0, error(nil)
			p.Subscribe("first", func(context.Context, *Config) (func(), error) { return func() { applied++ }, nil })
			p.Subscribe("second", func(context.Context, *Config) (func(), error) { return nil, refuse })
			if err := p.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := p.Current()
			applied, refuse = 0, c.refuse
			if c.breakIt != nil {
				c.breakIt(versions)
			}
			config, said, err := p.Put(t.Context(), c.text, c.expected, "test")
			if config != nil || !errors.Is(err, c.wantErr) || said.HasErrors() != c.problems {
				t.Errorf("Put gives %v, %v, %v", config, said, err)
			}
			if p.Current() != before || applied != 0 || versions.count() != 1 {
				t.Errorf("current %+v, applied %d times, %d versions", p.Current(), applied, versions.count())
			}
		})
	}
}

func TestPutOfAnUnchangedTextMakesNoVersionAndReadsSecretsAnew(t *testing.T) {
	t.Parallel()
	token := "one"
	p, err := NewPublisher(PublisherOptions{Versions: &memoryVersions{}, Check: CheckOptions{
		LookupEnv: func(string) (string, bool) { return token, true },
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	const text = `{"bitbucketServer": [{"url": "https://b.example.com", "token": "env:TOKEN"}]}`
	for _, token = range []string{"one", "two"} {
		stored, _ := p.Text(t.Context())
		config, _, err := p.Put(t.Context(), text, stored.Version, "test")
		if err != nil || config.Version != 1 || config.Connections[0].Token.Reveal() != token {
			t.Errorf("Put gives %+v, %v", config, err)
		}
	}
}

func TestPutKeepsMaskedSecretsAndPlacesProblemsWhereTheyAreSeen(t *testing.T) {
	t.Parallel()
	const text = `{"bitbucketServer": [{"url": "https://b.example.com", "token": "a-long-token-that-is-stored", "name": "b"}]}`
	p := loaded(t, &memoryVersions{all: []StoredVersion{{Version: 1, Text: text}}})
	masked := Mask(text)
	config, _, err := p.Put(t.Context(), strings.Replace(masked, `"name": "b"`, `"name": "c"`, 1), 1, "test")
	if err != nil || config.Connections[0].Token.Reveal() != "a-long-token-that-is-stored" || config.Connections[0].Name != "c" {
		t.Fatalf("Put gives %+v, %v", config, err)
	}
	_, said, err := p.Put(t.Context(), strings.Replace(masked, `"b"}`, `"b", "nam": 1}`, 1), 2, "test")
	want := `1:89 error bitbucketServer[0].nam: is not a known key: did you mean "name"?`
	if !errors.Is(err, ErrInvalid) || said.Error() != want {
		t.Errorf("problems %v, error %v; want %s", said, err, want)
	}
	moved := strings.Replace(masked, "https://b.", "https://evil.", 1)
	_, said, err = p.Put(t.Context(), moved, 2, "test")
	want = "1:67 error bitbucketServer[0].token: is masked, and no secret is stored for this url " +
		"(a connection whose url was changed does not keep its secrets): type the secret"
	if !errors.Is(err, ErrInvalid) || said.Error() != want {
		t.Errorf("problems %v, error %v; want %s", said, err, want)
	}
	if checked, err := p.Check(t.Context(), moved); err != nil || checked.Error() != want {
		t.Errorf("Check gives %v, %v; want %s", checked, err, want)
	}
	if p.Current().Version != 2 {
		t.Errorf("current is %d", p.Current().Version)
	}
}

func TestAClientThatLeavesDoesNotSplitStoredFromApplied(t *testing.T) {
	t.Parallel()
	versions := &memoryVersions{}
	p := newTestPublisher(t, versions)
	ctx, cancel := context.WithCancel(t.Context())
	p.Subscribe("test", func(_ context.Context, next *Config) (func(), error) {
		if next.Version == 1 {
			cancel()
		}
		return nil, nil
	})
	if err := p.Load(ctx); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Put(ctx, primaryText(1), 0, "test"); err != nil || p.Current().Version != 1 || versions.count() != 1 {
		t.Errorf("error %v, current %d, %d versions", err, p.Current().Version, versions.count())
	}
}

func TestConcurrentPutsOfOneVersionLetOneThrough(t *testing.T) {
	t.Parallel()
	p := loaded(t, &memoryVersions{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	stored, conflicts := 0, 0
	for i := range 8 {
		wg.Go(func() {
			_, _, err := p.Put(t.Context(), primaryText(i), 0, "test")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				stored++
			case errors.Is(err, ErrConflict):
				conflicts++
			default:
				t.Error(err)
			}
		})
	}
	for range 100 {
		if c := p.Current(); c.Version > 1 {
			t.Errorf("version %d", c.Version)
		}
	}
	wg.Wait()
	if stored != 1 || conflicts != 7 || p.Current().Version != 1 {
		t.Errorf("%d stored, %d conflicts, version %d", stored, conflicts, p.Current().Version)
	}
}

func TestPutWaitsForAnotherNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	p := loaded(t, &memoryVersions{})
	p.busy <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := p.Put(ctx, primaryText(1), 0, "test"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// fileWorld is a publisher that watches a file, in a bubble whose time passes at once.
type fileWorld struct {
	t       *testing.T
	file    string
	p       *Publisher
	log     *lockedBuffer
	mu      sync.Mutex
	applied []string
	refuse  error
}

// lockedBuffer is a log that is read while it may be written.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func newFileWorld(t *testing.T, text string) *fileWorld {
	t.Helper()
	w := &fileWorld{t: t, file: filepath.Join(t.TempDir(), "signpost.jsonc"), log: &lockedBuffer{}}
	w.write(text)
	var err error
	if w.p, err = NewPublisher(PublisherOptions{
		File: w.file, Check: testOptions(), Logger: slog.New(slog.NewTextHandler(w.log, nil)),
	}); err != nil {
		t.Fatal(err)
	}
	w.p.Subscribe("test", func(_ context.Context, next *Config) (func(), error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.applied = append(w.applied, next.Primary.String())
		}, w.refuse
	})
	return w
}

func (w *fileWorld) write(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *fileWorld) setRefuse(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = err
}

// wantApplied compares what was applied since the start.
func (w *fileWorld) wantApplied(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(want, w.applied); diff != "" {
		w.t.Errorf("applied (-want +got):\n%s", diff)
	}
}

// ticks lets the watcher look n times.
func (w *fileWorld) ticks(n int) {
	time.Sleep(time.Duration(n) * time.Second)
	synctest.Wait()
}

func inFileWorld(t *testing.T, text string, run func(w *fileWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newFileWorld(t, text)
		if err := w.p.Watch(t.Context()); err == nil {
			t.Error("Watch before Load gives no error")
		}
		if err := w.p.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.p.Watch(ctx) }()
		time.Sleep(time.Millisecond) // after each tick from here on
		run(w)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch gives %v", err)
		}
	})
}

func TestAFileIsReadOnlyAndReadAgainWhenItChanges(t *testing.T) {
	t.Parallel()
	inFileWorld(t, primaryText(1), func(w *fileWorld) {
		if !w.p.ReadOnly() {
			w.t.Error("a file is not read-only")
		}
		if _, _, err := w.p.Put(w.t.Context(), primaryText(9), 1, "test"); !errors.Is(err, ErrReadOnly) {
			w.t.Errorf("Put gives %v", err)
		}
		w.ticks(5)
		w.write(primaryText(2))
		w.ticks(1)
		if got := w.p.Current().Version; got != 1 {
			w.t.Errorf("after one look version %d runs: it must settle first", got)
		}
		w.ticks(1)
		if c := w.p.Current(); c.Version != 2 || c.Primary.String() != "https://sg2.example.com" {
			w.t.Errorf("after two looks %+v runs", c)
		}
		stored, err := w.p.Text(w.t.Context())
		if err != nil || stored.Version != 2 || stored.Text != primaryText(2) || stored.Author != "file "+w.file {
			w.t.Errorf("Text gives %+v, %v", stored, err)
		}
		w.ticks(5)
		w.wantApplied("https://sg1.example.com", "https://sg2.example.com")
	})
}

func TestAFileThatIsBeingWrittenIsLeftToSettle(t *testing.T) {
	t.Parallel()
	inFileWorld(t, primaryText(1), func(w *fileWorld) {
		for i := range 5 {
			w.write("")
			w.ticks(1)
			w.write(primaryText(2)[:10+i])
			w.ticks(1)
		}
		w.write(primaryText(2))
		w.ticks(2)
		w.wantApplied("https://sg1.example.com", "https://sg2.example.com")
		if strings.Contains(w.log.String(), "ERROR") {
			w.t.Errorf("logged:\n%s", w.log)
		}
	})
}

func TestABrokenFileLeavesTheRunningConfigurationAndIsLoggedOnce(t *testing.T) {
	t.Parallel()
	inFileWorld(t, primaryText(1), func(w *fileWorld) {
		w.write("{\"paint\": 1,\n\"primaryURL\": \"https://sourcegraph.com\"}")
		w.ticks(10)
		if c := w.p.Current(); c.Version != 1 {
			w.t.Errorf("%+v runs", c)
		}
		if got := strings.Count(w.log.String(), "not usable"); got != 1 {
			w.t.Errorf("logged %d times:\n%s", got, w.log)
		}
		for _, want := range []string{"1:2 error paint", "2:15 error primaryURL"} {
			if !strings.Contains(w.log.String(), want) || !strings.Contains(w.p.Problems().Error(), want) {
				w.t.Errorf("%q is neither logged nor kept:\n%s\n%s", want, w.log, w.p.Problems())
			}
		}
		w.write(primaryText(1)) // put back as it was: nothing to apply
		w.ticks(3)
		w.wantApplied("https://sg1.example.com")
		if said := w.p.Problems(); len(said) != 0 {
			w.t.Errorf("problems %v", said)
		}
		w.write(primaryText(3))
		w.ticks(3)
		if c := w.p.Current(); c.Version != 2 || c.Primary.String() != "https://sg3.example.com" {
			w.t.Errorf("%+v runs", c)
		}
	})
}

func TestWarningsOfAChangedFileAreLogged(t *testing.T) {
	t.Parallel()
	inFileWorld(t, primaryText(1), func(w *fileWorld) {
		w.write(`{"appURL": "https://signpost.example.com"}`)
		w.ticks(10)
		if got := strings.Count(w.log.String(), "1:2 warning appURL: is ignored: use externalURL"); got != 1 || !strings.Contains(w.log.String(), "level=WARN") {
			w.t.Errorf("logged %d times:\n%s", got, w.log)
		}
	})
}

func TestAFileThatIsGoneLeavesTheRunningConfiguration(t *testing.T) {
	t.Parallel()
	inFileWorld(t, primaryText(1), func(w *fileWorld) {
		if err := os.Rename(w.file, w.file+".old"); err != nil {
			w.t.Fatal(err)
		}
		w.ticks(10)
		if got := strings.Count(w.log.String(), "not readable"); got != 1 || w.p.Current().Version != 1 {
			w.t.Errorf("version %d runs, logged %d times:\n%s", w.p.Current().Version, got, w.log)
		}
		w.write(primaryText(2))
		w.ticks(2)
		if w.p.Current().Version != 2 {
			w.t.Errorf("version %d runs", w.p.Current().Version)
		}
	})
}

func TestAFileThatIsEmptiedLeavesTheRunningConfiguration(t *testing.T) {
	t.Parallel()
	inFileWorld(t, primaryText(1), func(w *fileWorld) {
		for i, text := range []string{"", "\ufeff \n", "// all gone\n"} {
			w.write(text)
			w.ticks(5)
			if w.p.Current().Version != 1 {
				w.t.Errorf("after %q version %d runs", text, w.p.Current().Version)
			}
			if got := strings.Count(w.log.String(), "the file is empty"); got != i+1 {
				w.t.Errorf("after %q logged %d times:\n%s", text, got, w.log)
			}
			w.write(primaryText(1))
			w.ticks(2)
		}
		w.write("/* " + primaryText(1)) // is no empty file: what is wrong has a place
		w.ticks(2)
		if !strings.Contains(w.log.String(), "1:1 error: ") {
			w.t.Errorf("a comment that does not end:\n%s", w.log)
		}
		w.write("{}") // by intent
		w.ticks(2)
		w.wantApplied("https://sg1.example.com", "")
	})
}

func TestAFileThatIsEmptyAtTheStartIsAnEmptyConfiguration(t *testing.T) {
	t.Parallel()
	inFileWorld(t, "", func(w *fileWorld) {
		w.write("// soon\n")
		w.ticks(2)
		w.write(primaryText(1))
		w.ticks(2)
		w.wantApplied("", "", "https://sg1.example.com")
	})
}

// A pipe blocks who opens it until somebody writes to it: the watch must not wait for that,
// since Stop waits for the watch.
func TestAFileThatBecomesAPipeLeavesTheRunningConfiguration(t *testing.T) {
	t.Parallel()
	inFileWorld(t, primaryText(1), func(w *fileWorld) {
		if err := os.Remove(w.file); err != nil {
			w.t.Fatal(err)
		}
		if err := syscall.Mkfifo(w.file, 0o600); err != nil {
			w.t.Fatal(err)
		}
		w.ticks(5)
		if got := strings.Count(w.log.String(), "not a plain file"); got != 1 || w.p.Current().Version != 1 {
			w.t.Errorf("version %d runs, logged %d times:\n%s", w.p.Current().Version, got, w.log)
		}
	})
}

func TestASubscriberThatRefusesAFileIsAskedAgain(t *testing.T) {
	t.Parallel()
	inFileWorld(t, primaryText(1), func(w *fileWorld) {
		w.setRefuse(errors.New("not yet"))
		w.write(primaryText(2))
		w.ticks(10)
		if got := strings.Count(w.log.String(), "not yet"); got != 1 || w.p.Current().Version != 1 {
			w.t.Errorf("version %d runs, logged %d times:\n%s", w.p.Current().Version, got, w.log)
		}
		w.setRefuse(nil)
		w.ticks(1)
		if w.p.Current().Version != 2 {
			w.t.Errorf("version %d runs", w.p.Current().Version)
		}
	})
}

func TestLoadOfAFileThatCannotBeReadFails(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, file := range []string{filepath.Join(folder, "missing.jsonc"), folder} {
		p, err := NewPublisher(PublisherOptions{File: file})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Load(t.Context()); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("Load gives %v", err)
		}
	}
}

func TestWatchOfTheDatabaseWaits(t *testing.T) {
	t.Parallel()
	p := loaded(t, &memoryVersions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Watch(ctx); err != nil {
		t.Error(err)
	}
}
