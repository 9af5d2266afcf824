package extension_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	extension "example.com/signpost/extension-assets"
	"example.com/signpost/internal/siteconfig"
)

// memory keeps records as the database does.
type memory struct {
	mu      sync.Mutex
	key     siteconfig.Secret
	digest  string
	number  int64
	failing error
	asked   int // for a version
}

func (m *memory) ExtensionKey(context.Context) (siteconfig.Secret, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failing != nil {
		return siteconfig.Secret{}, m.failing
	}
	if m.key.IsZero() {
		return siteconfig.Secret{}, extension.ErrNoKey
	}
	return m.key, nil
}

func (m *memory) SaveExtensionKey(_ context.Context, key siteconfig.Secret) (siteconfig.Secret, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.key.IsZero() {
		m.key = key
	}
	return m.key, nil
}

func (m *memory) ExtensionVersion(_ context.Context, digest string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.digest != digest {
		m.digest = digest
		m.number++
	}
	return m.number, nil
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing = err
}

func (m *memory) builds() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

// storedKey is one key for all records of the tests.
var storedKey = sync.OnceValues(extension.NewKey)

func newMemory(t *testing.T) *memory {
	t.Helper()
	key, err := storedKey()
	if err != nil {
		t.Fatal(err)
	}
	return &memory{key: key}
}

func TestPackKeepsItsKeyAndRaisesItsVersion(t *testing.T) {
	t.Parallel()
	records := &memory{}
	other := configuration
	other.ServerURL = "https://other.example.com"
	var id string
	for i, c := range []struct {
		configuration extension.Configuration
		version       string
	}{{configuration, "1.0.1"}, {configuration, "1.0.1"}, {other, "1.0.2"}, {configuration, "1.0.3"}} {
		p, err := extension.Pack(t.Context(), records, plain(), c.configuration, nil)
		if err != nil {
			t.Fatal(err)
		}
		if id == "" {
			id = p.ChromeID
		}
		if p.Version != c.version || p.ChromeID != id || manifestOf(t, p, extension.Chrome).Version != c.version {
			t.Errorf("build %d: version %s of %s, want %s of %s", i, p.Version, p.ChromeID, c.version, id)
		}
	}
}

func TestWhereNothingCanBePackedNoKeyIsMade(t *testing.T) {
	t.Parallel()
	records := &memory{}
	if _, err := extension.Pack(t.Context(), records, plain(), extension.Configuration{}, nil); !errors.Is(err, extension.ErrNoServerURL) {
		t.Errorf("error %v", err)
	}
	if !records.key.IsZero() {
		t.Error("a key was made")
	}
}

func TestAStoredKeyThatIsNoneIsRefusedWithoutBeingShown(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"canary", "Y2FuYXJ5", ""} {
		_, err := extension.ParseKey(siteconfig.NewSecret(key))
		if err == nil || strings.Contains(err.Error(), "anary") {
			t.Errorf("%q: error %v", key, err)
		}
	}
}

// published runs a Publisher within a bubble, and returns it with its log.
func published(t *testing.T, o extension.PublisherOptions) (*extension.Publisher, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	o.Source, o.Logger = plain(), slog.New(slog.NewTextHandler(log, nil))
	p, err := extension.NewPublisher(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return p, log
}

func TestThePublisherFollowsTheConfiguration(t *testing.T) {
	records := newMemory(t)
	synctest.Test(t, func(t *testing.T) {
		p, _ := published(t, extension.PublisherOptions{Records: records})
		synctest.Wait()
		if _, err := p.Packages(t.Context()); !errors.Is(err, extension.ErrNoServerURL) {
			t.Errorf("before the first configuration: %v", err)
		}

		p.SetConfiguration(configuration)
		first, err := p.Packages(t.Context()) // waits for it
		if err != nil || first.Version != "1.0.1" || p.Current() != first {
			t.Fatalf("first: %+v, %v", first, err)
		}

		// What makes no other package builds none.
		p.SetConfiguration(configuration)
		time.Sleep(10 * time.Minute)
		if p.Current() != first || records.builds() != 1 {
			t.Errorf("it was built %d times, want once", records.builds())
		}

		other := configuration
		other.BitbucketURLs = other.BitbucketURLs[:1]
		p.SetConfiguration(other)
		if p.Current() == nil {
			t.Error("while the second is being built, the first is not handed out")
		}
		synctest.Wait()
		if second := p.Current(); second.Version != "1.0.2" || len(second.Configuration.BitbucketURLs) != 1 {
			t.Errorf("second: %s for %v", second.Version, second.Configuration)
		}

		other.ServerURL = ""
		p.SetConfiguration(other)
		if _, err := p.Packages(t.Context()); p.Current() != nil || !errors.Is(err, extension.ErrNoServerURL) {
			t.Errorf("without an address of the server: %v", err)
		}

		p.SetConfiguration(configuration)
		if third, err := p.Packages(t.Context()); err != nil || third.Version != "1.0.3" {
			t.Errorf("third: %+v, %v", third, err)
		}
	})
}

func TestWhatCannotBeBuiltIsTriedAgain(t *testing.T) {
	records := newMemory(t)
	records.fail(errors.New("the disk is gone"))
	synctest.Test(t, func(t *testing.T) {
		p, log := published(t, extension.PublisherOptions{Records: records, Look: time.Minute})
		p.SetConfiguration(configuration)
		synctest.Wait()
		if _, err := p.Packages(t.Context()); !errors.Is(err, extension.ErrNotBuilt) {
			t.Errorf("error %v, want ErrNotBuilt", err)
		}
		if !strings.Contains(log.String(), "the disk is gone") {
			t.Errorf("the log does not say why: %s", log)
		}
		records.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		first, err := p.Packages(t.Context())
		if err != nil {
			t.Fatalf("after the mend: %v", err)
		}

		// Packages that are there are handed out while the next ones cannot be built.
		records.fail(errors.New("the disk is gone"))
		other := configuration
		other.ServerURL = "https://other.example.com"
		p.SetConfiguration(other)
		synctest.Wait()
		if got, err := p.Packages(t.Context()); err != nil || got != first {
			t.Errorf("error %v", err)
		}
		records.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := p.Current(); got == nil || got.Configuration.ServerURL != other.ServerURL {
			t.Errorf("after the mend: %+v", got)
		}
	})
}

func TestWhoWaitsForTheFirstPackagesDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := extension.NewPublisher(extension.PublisherOptions{Records: newMemory(t), Source: plain()})
		if err != nil {
			t.Fatal(err)
		}
		p.SetConfiguration(configuration) // and nobody runs it
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Packages(ctx); !errors.Is(err, extension.ErrNotBuilt) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

// sign makes of the add-on what Mozilla gives back: the same with a signature, which Firefox verifies.
func sign(t *testing.T, xpi []byte) []byte {
	t.Helper()
	archive, err := zip.NewReader(bytes.NewReader(xpi), int64(len(xpi)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, entry := range archive.File {
		if err := w.Copy(entry); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Create("META-INF/mozilla.rsa"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestASignedXPIIsHandedOut(t *testing.T) {
	records := newMemory(t)
	synctest.Test(t, func(t *testing.T) {
		type file struct {
			signed *extension.SignedXPI
			err    error
		}
		put := make(chan file, 1)
		p, log := published(t, extension.PublisherOptions{
			Records: records, Look: time.Minute,
			Signed: func() (*extension.SignedXPI, bool, error) {
				select {
				case f := <-put:
					return f.signed, f.err == nil, f.err
				default:
					return nil, false, nil
				}
			},
		})
		p.SetConfiguration(configuration)
		first, err := p.Packages(t.Context())
		if err != nil || first.XPISigned {
			t.Fatalf("%+v, %v", first, err)
		}
		content := sign(t, content(t, first, extension.XPI))
		signed, err := extension.ReadSignedXPI(content)
		if err != nil {
			t.Fatal(err)
		}
		records.fail(errors.New("the disk is gone"))
		put <- file{signed: signed}
		time.Sleep(time.Minute)
		synctest.Wait()
		records.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if p.Current() == first {
			t.Error("what was signed while nothing could be built was forgotten")
		}
		next := func(f file) *extension.Packages {
			put <- f
			time.Sleep(time.Minute)
			synctest.Wait()
			return p.Current()
		}
		wantXPI := func(p *extension.Packages, version string) {
			t.Helper()
			got, _ := p.File(extension.XPI)
			updates, _ := p.File(extension.UpdatesJSON)
			if !p.XPISigned || p.XPIVersion != version || !bytes.Equal(got.Content, content) || !strings.HasPrefix(got.Edition, version+"-") ||
				!strings.Contains(string(updates.Content), `"version": "`+version+`"`) {
				t.Errorf("signed %t, version %s, want %s; updates.json: %s", p.XPISigned, p.XPIVersion, version, updates.Content)
			}
		}
		second := next(file{signed: signed})
		wantXPI(second, "1.0.1")
		if second.Version != "1.0.1" {
			t.Errorf("the signature made a version %s", second.Version)
		}
		unsigned, _ := first.File(extension.XPI)
		if got, _ := second.File(extension.XPI); got.Edition == unsigned.Edition {
			t.Errorf("caches take the signed one for the other: both are %s", got.Edition)
		}

		// When the configuration has changed, the one that is signed is better than one that Firefox refuses.
		other := configuration
		other.BitbucketURLs = other.BitbucketURLs[:1]
		p.SetConfiguration(other)
		synctest.Wait()
		wantXPI(p.Current(), "1.0.1")
		if p.Current().Version != "1.0.2" {
			t.Errorf("the other packages are %s", p.Current().Version)
		}

		// A file that cannot be read changes nothing, and is complained of once.
		wantXPI(next(file{err: errors.New("half a file")}), "1.0.1")
		if !strings.Contains(log.String(), "half a file") {
			t.Errorf("log: %s", log)
		}
		if p := next(file{}); p.XPISigned || p.XPIVersion != "1.0.2" {
			t.Errorf("after it was taken away: %+v", p.XPIVersion)
		}

		// One of another server is not this add-on.
		stranger, err := extension.Pack(t.Context(), &memory{}, plain(), configuration, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := stranger.File(extension.XPI)
		foreign, err := extension.ReadSignedXPI(sign(t, text.Content))
		if err != nil {
			t.Fatal(err)
		}
		if p := next(file{signed: foreign}); p.XPISigned {
			t.Error("the add-on of another server is handed out")
		}
		if !strings.Contains(log.String(), "another add-on") {
			t.Errorf("log: %s", log)
		}
	})
}

func TestWhatMozillaDidNotSignIsRefused(t *testing.T) {
	t.Parallel()
	xpi := content(t, build(t, input(t, plain())), extension.XPI)
	for name, text := range map[string][]byte{
		"nothing": nil, "no archive": []byte("x"), "unsigned": xpi, "half": sign(t, xpi)[:100],
	} {
		if _, err := extension.ReadSignedXPI(text); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
