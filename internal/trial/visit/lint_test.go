package visit

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// explained are the warnings of Mozilla's linter that stay, by the folder and the code, with why.
var explained = map[string]map[string]string{
	"plain": {
		"BACKGROUND_SERVICE_WORKER_IGNORED":              "the plain manifest is for both browsers: Firefox takes the scripts, Chromium the worker",
		"KEY_FIREFOX_ANDROID_UNSUPPORTED_BY_MIN_VERSION": androidUntried,
	},
	"packed": {
		"KEY_FIREFOX_ANDROID_UNSUPPORTED_BY_MIN_VERSION": androidUntried,
	},
}

// androidUntried explains that consent to data is asked for only from Firefox for Android 142 on.
const androidUntried = "Firefox for Android, where nothing of this was tried, asks for consent to data only from 142 on"

// linter is in package.json, with its version.
var linter = regexp.MustCompile(`web-ext@[0-9.]+`)

// TestMozillasLinter has web-ext look at the extension as it lies here and as a server packs it:
// no error, and no warning that is not explained. It needs npm's registry, as npm ci does.
func TestMozillasLinter(t *testing.T) {
	t.Parallel()
	scripts, err := os.ReadFile("../../../extension-assets/package.json")
	must(t, err)
	version := linter.FindString(string(scripts))
	if version == "" {
		t.Fatal("package.json does not name web-ext with its version")
	}
	packed, err := wide.Unpack(soon(t), "signpost-firefox.zip", t.TempDir())
	must(t, err)
	for name, folder := range map[string]string{"plain": plainExtension, "packed": packed} {
		cmd := exec.CommandContext(t.Context(), "npx", "--yes", version, "lint", "--source-dir", folder, "--output", "json", "--no-config-discovery")
		cmd.Env = append(os.Environ(), "NO_UPDATE_NOTIFIER=1")
		out, err := cmd.Output() // the exit code says again what the output does
		var report struct {
			Errors, Warnings []struct{ Code, Message, File string }
		}
		if failed := json.Unmarshal(out, &report); failed != nil {
			t.Fatalf("%s: %v: %v\n%s", name, err, failed, out)
		}
		for _, e := range report.Errors {
			t.Errorf("%s: %s: %s: %s", name, e.File, e.Code, e.Message)
		}
		seen := make(map[string]bool)
		for _, w := range report.Warnings {
			seen[w.Code] = true
			if explained[name][w.Code] == "" {
				t.Errorf("%s: %s: %s: %s", name, w.File, w.Code, w.Message)
			}
		}
		for code := range explained[name] {
			if !seen[code] {
				t.Errorf("%s: %s has gone: it needs no explanation any more", name, code)
			}
		}
	}
}
