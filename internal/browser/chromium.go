package browser

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/extensions"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// ErrNoBrowser means that the program is not installed.
var ErrNoBrowser = errors.New("the tests in browsers need Debian's chromium and firefox-esr: run scripts/prerequisites as root, or install them")

// ChromiumOptions says how to start Chromium. The zero value is one without extension that
// reaches what the machine reaches.
type ChromiumOptions struct {
	Extension string   // folder of an unpacked extension, "" for none
	Network   *Network // that it sends everything through; nil for no proxy
	// Profile is the folder of the profile, which stays. A temporary one if empty.
	Profile string
	// Policies are what an administrator has set on this machine, nil for nothing. They are
	// mounted for this browser alone: it needs root, or user namespaces.
	Policies map[string]any
	// Size of the window in pixels; 1280 × 900 if 0.
	Width, Height int
}

// Chromium is a browser that runs. Close it.
type Chromium struct {
	ctx       context.Context // of the process and its first tab
	stop      context.CancelFunc
	home      string
	output    *output
	extension bool
}

// nowhere is an address with a port that browsers refuse to ask.
const nowhere = "http://127.0.0.1:9/"

// startPatience bounds the start of a browser, and its end.
const startPatience = 90 * time.Second

// StartChromium starts Chromium. It ends with ctx, at the latest. The error is ErrNoBrowser
// where it is not installed.
func StartChromium(ctx context.Context, o ChromiumOptions) (_ *Chromium, err error) {
	program, err := exec.LookPath("chromium")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoBrowser, err)
	}
	if o.Width == 0 || o.Height == 0 {
		o.Width, o.Height = 1280, 900
	}
	b := &Chromium{output: new(output), extension: o.Extension != ""}
	if b.home, err = os.MkdirTemp("", "signpost-chromium-"); err != nil {
		return nil, fmt.Errorf("browser: %w", err)
	}
	flags := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(program),
		chromedp.CombinedOutput(b.output),
		chromedp.Env("HOME="+b.home, "XDG_CONFIG_HOME="+b.home, "XDG_CACHE_HOME="+b.home),
		chromedp.WindowSize(o.Width, o.Height),
		chromedp.Flag("headless", "new"),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("mute-audio", true),
		chromedp.NoSandbox, // containers do not let it make one
		chromedp.NoFirstRun,
		chromedp.Flag("enable-logging", "stderr"), // for Says
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-background-networking", o.Policies == nil), // with it, nothing is installed by policy
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-breakpad", true),
		chromedp.Flag("disable-default-apps", true),
		chromedp.Flag("metrics-recording-only", true),
		chromedp.Flag("password-store", "basic"),
		chromedp.Flag("force-color-profile", "srgb"),
		// Tabs that are not in front go on as if they were: tests use several at once.
		chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
		chromedp.Flag("disable-renderer-backgrounding", true),
		// What is left of the browser's own requests: the time, accounts, updates.
		chromedp.Flag("disable-features", "Translate,OptimizationHints,MediaRouter,AutofillServerCommunication,NetworkTimeServiceQuerying"),
		chromedp.Flag("allow-browser-signin", "false"),
		chromedp.Flag("gaia-url", nowhere),
		chromedp.Flag("component-updater", "url-source="+nowhere),
	}
	if o.Extension != "" {
		folder, err := filepath.Abs(o.Extension)
		if err != nil {
			return nil, err
		}
		flags = append(flags,
			chromedp.Flag("load-extension", folder),
			chromedp.Flag("disable-extensions-except", folder),
			chromedp.Flag("enable-unsafe-extension-debugging", true)) // for Extensions.triggerAction
	}
	if o.Profile != "" {
		flags = append(flags, chromedp.UserDataDir(o.Profile))
	}
	if o.Network != nil {
		flags = append(flags,
			chromedp.ProxyServer("http://"+o.Network.Address()),
			chromedp.Flag("proxy-bypass-list", "<-loopback>"), // addresses of this machine too
			// What should go past the proxy finds nothing.
			chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost"))
	}
	if o.Policies != nil {
		modify, err := withPolicies(ctx, b.home, o.Policies)
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(b.home))
		}
		flags = append(flags, chromedp.ModifyCmdFunc(modify))
	}
	allocator, stopAllocator := chromedp.NewExecAllocator(ctx, flags...)
	silent := func(string, ...any) {}
	browserCtx, stopBrowser := chromedp.NewContext(allocator, chromedp.WithLogf(silent), chromedp.WithErrorf(silent))
	b.ctx = browserCtx
	b.stop = sync.OnceFunc(func() {
		stopBrowser()
		stopAllocator()
	})
	late := time.AfterFunc(startPatience, b.stop)
	defer late.Stop()
	if err := chromedp.Do(browserCtx); err != nil {
		return nil, errors.Join(fmt.Errorf("browser: Chromium does not start: %w\n%s", err, b.output), b.Close())
	}
	return b, nil
}

// Close ends all processes of the browser and removes its temporary folders.
func (b *Chromium) Close() error {
	ctx, cancel := context.WithTimeout(b.ctx, startPatience)
	defer cancel()
	var err error
	if b.ctx.Err() == nil {
		err = chromedp.Cancel(ctx) // so that a profile that stays is whole
	}
	b.stop()
	return errors.Join(err, os.RemoveAll(b.home))
}

// NewTab opens an empty tab. Close it, or the browser.
func (b *Chromium) NewTab(ctx context.Context) (*ChromiumTab, error) {
	own, stop := chromedp.NewContext(b.ctx)
	t := &ChromiumTab{ctx: own, stop: stop}
	if err := t.do(ctx, func(ctx context.Context) error { return chromedp.Do(ctx) }); err != nil {
		stop()
		return nil, fmt.Errorf("browser: a new tab: %w", err)
	}
	return t, nil
}

// ExtensionID waits until the service worker of the extension has been started, and returns
// the extension's id.
func (b *Chromium) ExtensionID(ctx context.Context) (string, error) {
	worker, err := b.worker(ctx)
	if err != nil {
		return "", err
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(worker.URL, extensionScheme), "/")
	return id, nil
}

const extensionScheme = "chrome-extension://"

// UnpackedID returns the id that Chromium gives to the extension in a folder whose manifest has
// no key: it is made of the folder's path.
func UnpackedID(folder string) (string, error) {
	path, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256([]byte(path))
	id := []byte(hex.EncodeToString(digest[:16]))
	for i, c := range id {
		if c <= '9' {
			id[i] = c - '0' + 'a'
		} else {
			id[i] = c - 'a' + 'k'
		}
	}
	return string(id), nil
}

// worker waits for the target of the extension's service worker.
func (b *Chromium) worker(ctx context.Context) (*target.Info, error) {
	for {
		found, err := b.targets(ctx, func(t *target.Info) bool {
			return t.Type == "service_worker" && strings.HasPrefix(t.URL, extensionScheme)
		})
		if err == nil && len(found) > 0 {
			return found[0], nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("browser: no extension has a service worker: %w\n%s", errors.Join(err, ctx.Err()), b.output)
		case <-time.After(Pause):
		}
	}
}

// targets returns the pages, workers and so on for which want is true.
func (b *Chromium) targets(ctx context.Context, want func(*target.Info) bool) (found []*target.Info, err error) {
	err = b.do(ctx, func(ctx context.Context) error {
		all, err := chromedp.Targets(ctx)
		for _, t := range all {
			if want(t) {
				found = append(found, t)
			}
		}
		return err
	})
	return found, err
}

// HasExtension tells whether a page of the extension with an id can be opened.
func (b *Chromium) HasExtension(ctx context.Context, id, page string) (bool, error) {
	tab, err := b.NewTab(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = tab.Close() }()
	var open bool
	err = tab.Open(ctx, extensionScheme+id+"/"+page)
	if err == nil {
		err = tab.Evaluate(ctx, `Boolean(globalThis.chrome?.runtime?.id)`, &open)
	}
	if err != nil && ctx.Err() == nil {
		return false, nil // ERR_BLOCKED_BY_CLIENT: there is none
	}
	return open, err
}

// Worker runs a script in the service worker of the extension and reads its value into out.
// The worker does not stop while the script runs.
func (b *Chromium) Worker(ctx context.Context, script string, out any) error {
	worker, err := b.worker(ctx)
	if err != nil {
		return err
	}
	own, stop := chromedp.NewContext(b.ctx, chromedp.WithTargetID(worker.TargetID), chromedp.WithDetachOnCancel())
	defer stop()
	return (&ChromiumTab{ctx: own, stop: stop}).Evaluate(ctx, script, out)
}

// StopWorker ends the service worker of the extension, as the browser does when it has been
// idle. It returns when it has gone.
func (b *Chromium) StopWorker(ctx context.Context) error {
	worker, err := b.worker(ctx)
	if err != nil {
		return err
	}
	err = b.do(ctx, func(ctx context.Context) error {
		_, err := chromedp.CallBrowser(ctx, target.CloseTarget, target.CloseTargetParams{TargetID: worker.TargetID})
		return err
	})
	for err == nil {
		left, err := b.targets(ctx, func(t *target.Info) bool { return t.TargetID == worker.TargetID })
		if err != nil || len(left) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("browser: the service worker does not stop: %w", ctx.Err())
		case <-time.After(Pause):
		}
	}
	return err
}

// ClickAction clicks the extension's button in the browser's toolbar while a tab is in front.
func (b *Chromium) ClickAction(ctx context.Context, tab *ChromiumTab) error {
	id, err := b.ExtensionID(ctx)
	if err != nil {
		return err
	}
	var address string
	if err := tab.Evaluate(ctx, `location.href`, &address); err != nil {
		return err
	}
	return b.do(ctx, func(ctx context.Context) error {
		// The tab is a target beside its page, and is listed only for those who ask for it.
		all, err := chromedp.CallBrowser(ctx, target.GetTargets, target.GetTargetsParams{Filter: target.Filter{{Type: "tab"}}})
		if err != nil {
			return err
		}
		for _, t := range all.TargetInfos {
			if t.URL == address {
				_, err := chromedp.CallBrowser(ctx, extensions.TriggerAction, extensions.TriggerActionParams{ID: id, TargetID: string(t.TargetID)})
				return err
			}
		}
		return fmt.Errorf("browser: no tab shows %s", address)
	})
}

// Popup waits for a page of the extension that the browser has opened itself, such as the
// popup of its button, and returns it as a tab.
func (b *Chromium) Popup(ctx context.Context, page string) (*ChromiumTab, error) {
	for {
		found, err := b.targets(ctx, func(t *target.Info) bool {
			return strings.HasPrefix(t.URL, extensionScheme) && strings.HasSuffix(t.URL, page)
		})
		if err == nil && len(found) > 0 {
			own, stop := chromedp.NewContext(b.ctx, chromedp.WithTargetID(found[0].TargetID))
			return &ChromiumTab{ctx: own, stop: stop}, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("browser: %s was not opened: %w", page, errors.Join(err, ctx.Err()))
		case <-time.After(Pause):
		}
	}
}

// Says waits until the browser has written something that matches into its log.
func (b *Chromium) Says(ctx context.Context, what *regexp.Regexp) error {
	for !what.MatchString(b.output.all()) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("browser: Chromium does not say %s: %w\n%s", what, ctx.Err(), b.output)
		case <-time.After(Pause):
		}
	}
	return nil
}

// do runs something with the browser's context, and ends it when ctx ends.
func (b *Chromium) do(ctx context.Context, do func(ctx context.Context) error) error {
	return within(b.ctx, ctx, do)
}

// within runs something with the context of a browser or tab. It ends when the caller's ends.
func within(own, caller context.Context, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(own)
	defer cancel()
	defer context.AfterFunc(caller, cancel)()
	err := do(ctx)
	if err != nil && caller.Err() != nil {
		return fmt.Errorf("%w (%w)", context.Cause(caller), err)
	}
	return err
}

// output keeps what a program writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String returns the end of what was written.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := o.buf.String()
	return text[max(0, len(text)-4000):]
}

func (o *output) all() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
