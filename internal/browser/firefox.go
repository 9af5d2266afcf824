package browser

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// FirefoxOptions says how to start Firefox.
type FirefoxOptions struct {
	Network *Network // that it sends everything through; nil for no proxy
	// Preferences are set in the profile beside those of the tests: strings, numbers, booleans.
	Preferences map[string]any
}

// Firefox is a browser that runs. Close it. It has one tab, which it is itself.
type Firefox struct {
	folder string // of the profile, and the home of the process
	output *output
	kill   func()
	ended  chan struct{} // closed when the process has ended; nil until it is started
	remote *marionette
}

var _ Tab = (*Firefox)(nil)

// firefoxPreferences keep Firefox from asking for anything of its own. What Marionette itself
// sets for tests is not repeated here.
var firefoxPreferences = map[string]any{
	"marionette.port":                                 0, // a free one
	"browser.shell.checkDefaultBrowser":               false,
	"browser.startup.homepage":                        "about:blank",
	"browser.startup.page":                            0,
	"browser.region.network.url":                      "",
	"browser.safebrowsing.malware.enabled":            false,
	"browser.safebrowsing.phishing.enabled":           false,
	"browser.safebrowsing.downloads.enabled":          false,
	"browser.topsites.contile.enabled":                false,
	"datareporting.policy.dataSubmissionEnabled":      false,
	"dom.push.connection.enabled":                     false,
	"extensions.getAddons.cache.enabled":              false,
	"extensions.systemAddon.update.enabled":           false,
	"extensions.update.enabled":                       false,
	"media.gmp-manager.updateEnabled":                 false,
	"network.captive-portal-service.enabled":          false,
	"network.connectivity-service.enabled":            false,
	"network.dns.disablePrefetch":                     true,
	"network.http.speculative-parallel-limit":         0,
	"network.prefetch-next":                           false,
	"network.trr.mode":                                5, // no DNS over HTTPS
	"services.settings.server":                        "data:,#remote-settings-dummy/v1",
	"signon.autofillForms":                            false,
	"toolkit.telemetry.enabled":                       false,
	"ui.systemUsesDarkTheme":                          0,
	"browser.aboutwelcome.enabled":                    false,
	"browser.ml.enable":                               false,
	"browser.newtabpage.enabled":                      false,
	"browser.search.update":                           false,
	"app.normandy.enabled":                            false,
	"app.update.disabledForTesting":                   true,
	"identity.fxaccounts.enabled":                     false,
	"extensions.blocklist.enabled":                    false,
	"security.remote_settings.crlite_filters.enabled": false,
	"security.remote_settings.intermediates.enabled":  false,
}

// StartFirefox starts Firefox. It ends with ctx, at the latest. The error is ErrNoBrowser
// where it is not installed.
func StartFirefox(ctx context.Context, o FirefoxOptions) (_ *Firefox, err error) {
	program, err := exec.LookPath("firefox-esr")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoBrowser, err)
	}
	f := &Firefox{output: new(output), kill: func() {}}
	if f.folder, err = os.MkdirTemp("", "signpost-firefox-"); err != nil {
		return nil, fmt.Errorf("browser: %w", err)
	}
	if err := f.start(ctx, program, o); err != nil {
		return nil, errors.Join(fmt.Errorf("browser: Firefox does not start: %w\n%s", err, f.output), f.Close())
	}
	return f, nil
}

func (f *Firefox) start(ctx context.Context, program string, o FirefoxOptions) error {
	profile := filepath.Join(f.folder, "profile")
	if err := os.Mkdir(profile, 0o700); err != nil {
		return err
	}
	if err := writePreferences(filepath.Join(profile, "user.js"), o); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, "--marionette", "--remote-allow-system-access", "--headless", "--no-remote", "--profile", profile, "--width", "1280", "--height", "900")
	cmd.Env = append(os.Environ(), "HOME="+f.folder, "MOZ_CRASHREPORTER_DISABLE=1", "MOZ_DISABLE_AUTO_SAFE_MODE=1",
		"MOZ_REMOTE_SETTINGS_DEVTOOLS=1") // without it the preference services.settings.server counts for nothing
	cmd.Stdout, cmd.Stderr = f.output, f.output
	cmd.WaitDelay = time.Second // its children may outlive it, and they hold its outputs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	f.ended = make(chan struct{})
	started := make(chan error)
	go func() {
		// The death of the thread that started it, and not of the process, ends Firefox.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is told to end, or fails where it is used
		}
		close(f.ended)
	}()
	if err := <-started; err != nil {
		return err
	}
	f.kill = sync.OnceFunc(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	port, err := f.waitForPort(ctx, filepath.Join(profile, "MarionetteActivePort"))
	if err != nil {
		return err
	}
	if f.remote, err = dialMarionette(ctx, port); err != nil {
		return err
	}
	return f.remote.call(ctx, "WebDriver:NewSession", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{"acceptInsecureCerts": true}}}, nil)
}

// waitForPort waits until Firefox has written the port that it listens on.
func (f *Firefox) waitForPort(ctx context.Context, file string) (int, error) {
	for {
		text, err := os.ReadFile(file)
		if port, _ := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && port > 0 {
			return port, nil
		}
		select {
		case <-f.ended:
			return 0, errors.New("it ended")
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(Pause):
		}
	}
}

func writePreferences(file string, o FirefoxOptions) error {
	var text strings.Builder
	write := func(name string, value any) error {
		key, err := json.Marshal(name)
		if err != nil {
			return err
		}
		v, err := json.Marshal(value)
		fmt.Fprintf(&text, "user_pref(%s, %s);\n", key, v)
		return err
	}
	all := []map[string]any{firefoxPreferences, o.Preferences}
	if o.Network != nil {
		host, portText, _ := strings.Cut(o.Network.Address(), ":")
		port, err := strconv.Atoi(portText)
		if err != nil {
			return err
		}
		all = append(all, map[string]any{
			"network.proxy.type": 1, "network.proxy.http": host, "network.proxy.http_port": port,
			"network.proxy.ssl": host, "network.proxy.ssl_port": port, "network.proxy.no_proxies_on": "",
			"network.proxy.allow_hijacking_localhost": true, "network.proxy.failover_direct": false,
		})
	}
	for _, preferences := range all {
		for name, value := range preferences {
			if err := write(name, value); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(file, []byte(text.String()), 0o600)
}

// Install installs a package or a folder as a temporary add-on, which needs no signature, and
// returns its id. Its host permissions are granted.
func (f *Firefox) Install(ctx context.Context, path string) (id string, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return "", err
	}
	var answer struct{ Value string }
	err = f.remote.call(ctx, "Addon:Install", map[string]any{"path": path, "temporary": true}, &answer)
	return answer.Value, err
}

// Open implements Tab.
func (f *Firefox) Open(ctx context.Context, address string) error {
	return f.remote.call(ctx, "WebDriver:Navigate", map[string]any{"url": address}, nil)
}

// Evaluate implements Tab.
func (f *Firefox) Evaluate(ctx context.Context, script string, out any) error {
	return f.evaluate(ctx, "return ("+script+");", out)
}

// EvaluateInBrowser runs a script in the window of the browser, where it may do everything.
// It is the body of an asynchronous function.
func (f *Firefox) EvaluateInBrowser(ctx context.Context, script string, out any) (err error) {
	if err := f.remote.call(ctx, "Marionette:SetContext", map[string]any{"value": "chrome"}, nil); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.remote.call(ctx, "Marionette:SetContext", map[string]any{"value": "content"}, nil))
	}()
	return f.evaluate(ctx, "return (async () => {"+script+"})();", out)
}

func (f *Firefox) evaluate(ctx context.Context, script string, out any) error {
	var answer struct{ Value json.RawMessage }
	params := map[string]any{"script": script, "args": []any{}, "sandbox": nil}
	if err := f.remote.call(ctx, "WebDriver:ExecuteScript", params, &answer); err != nil || out == nil {
		return err
	}
	return json.Unmarshal(answer.Value, out)
}

// Screenshot implements Tab.
func (f *Firefox) Screenshot(ctx context.Context) ([]byte, error) {
	var answer struct{ Value string }
	if err := f.remote.call(ctx, "WebDriver:TakeScreenshot", map[string]any{"full": false}, &answer); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(answer.Value)
}

// Click clicks the element that a CSS selector finds first, as a user does.
func (f *Firefox) Click(ctx context.Context, selector string) error {
	var found struct{ Value map[string]string }
	if err := f.remote.call(ctx, "WebDriver:FindElement", map[string]any{"using": "css selector", "value": selector}, &found); err != nil {
		return err
	}
	for _, reference := range found.Value { // its only key is a constant of WebDriver
		return f.remote.call(ctx, "WebDriver:ElementClick", map[string]any{"id": reference}, nil)
	}
	return fmt.Errorf("browser: nothing is %s", selector)
}

// RightClick clicks the middle of what a CSS selector finds first with the right button, which
// opens the context menu.
func (f *Firefox) RightClick(ctx context.Context, selector string) error {
	name, err := json.Marshal(selector)
	if err != nil {
		return err
	}
	var at struct{ X, Y float64 }
	script := `(() => { const box = document.querySelector(` + string(name) + `).getBoundingClientRect();
		return { x: Math.round(box.x + box.width / 2), y: Math.round(box.y + box.height / 2) }; })()`
	if err := f.Evaluate(ctx, script, &at); err != nil {
		return err
	}
	type action map[string]any
	return f.remote.call(ctx, "WebDriver:PerformActions", map[string]any{"actions": []action{{
		"type": "pointer", "id": "mouse", "parameters": action{"pointerType": "mouse"}, "actions": []action{
			{"type": "pointerMove", "x": at.X, "y": at.Y, "origin": "viewport"},
			{"type": "pointerDown", "button": 2},
			{"type": "pointerUp", "button": 2},
		},
	}}}, nil)
}

// ExtensionURL returns the address of a page of an add-on, which differs from profile to profile.
func (f *Firefox) ExtensionURL(ctx context.Context, id, page string) (string, error) {
	name, err := json.Marshal(id)
	if err != nil {
		return "", err
	}
	var host string
	err = f.EvaluateInBrowser(ctx, "return WebExtensionPolicy.getByID("+string(name)+")?.mozExtensionHostname ?? '';", &host)
	if err == nil && host == "" {
		err = fmt.Errorf("browser: there is no add-on %s", id)
	}
	return "moz-extension://" + host + "/" + page, err
}

// Close ends all processes of the browser and removes its profile. It implements Tab.
func (f *Firefox) Close() error {
	if f.remote != nil {
		ctx, cancel := context.WithTimeout(context.Background(), startPatience)
		defer cancel()
		// It ends in good order, or at once.
		if f.remote.call(ctx, "Marionette:Quit", map[string]any{"flags": []string{"eForceQuit"}}, nil) == nil {
			select {
			case <-f.ended:
			case <-ctx.Done():
			}
		}
		_ = f.remote.close() // Firefox has closed it
	}
	f.kill()
	if f.ended != nil {
		<-f.ended
	}
	return os.RemoveAll(f.folder)
}
