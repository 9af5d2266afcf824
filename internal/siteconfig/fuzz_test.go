package siteconfig

import (
	"io/fs"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tailscale/hujson"
)

// fuzzOptions have no disk and a small environment, and cost nothing.
func fuzzOptions() CheckOptions {
	return CheckOptions{
		LookupEnv: func(name string) (string, bool) { return "value of " + name, true },
		ReadFile: func(path string) ([]byte, error) {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		},
	}
}

func addSeeds(f *testing.F) {
	for _, folder := range []string{"good", "bad", "warned"} {
		for _, text := range testTexts(f, folder) {
			f.Add(text)
		}
	}
	f.Add(storedTwo)
}

// FuzzCheck holds that Check never panics, that there is a configuration exactly when there
// is no error, that problems are well placed, and that the explanation of syntax errors
// agrees with hujson.
func FuzzCheck(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		config, said := Check(text, fuzzOptions())
		if (config == nil) != said.HasErrors() {
			t.Fatalf("config %v with problems %v", config, said)
		}
		lines := strings.Split(text, "\n")
		for _, p := range said {
			if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > utf8.RuneCountInString(lines[p.Line-1])+1 {
				t.Fatalf("problem outside of the text: %v", p)
			}
			if p.Message == "" || strings.ContainsAny(p.Message+p.Key, "\n\r") {
				t.Fatalf("message of more than one line: %q", p)
			}
		}
		if _, rest := cutMark(text); utf8.ValidString(rest) && len(rest) < MaxTextBytes && firstValue(scan(rest)) >= 0 {
			_, message, found := syntaxError(rest, scan(rest))
			if _, err := hujson.Parse([]byte(rest + "\n")); (err != nil) != found && !strings.Contains(message, "levels deep") {
				t.Fatalf("hujson says %v, the explanation is %q", err, message)
			}
		}
	})
}

// FuzzMask holds that a configuration comes through masking and unmasking byte for byte,
// that its masked text has its secrets neither as values nor in comments, and that the text
// of edits keeps being one.
func FuzzMask(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		masked := Mask(text)
		if masked != notShown && strings.Count(masked, "\n") != strings.Count(text, "\n") {
			t.Fatalf("masking changes the number of lines: %q becomes %q", text, masked)
		}
		config, _ := Check(text, fuzzOptions())
		if config == nil {
			return
		}
		if restored, err := Unmask(masked, text); err != nil || restored != text {
			t.Fatalf("Unmask(Mask(x), x) is %q, %v\nx is %q", restored, err, text)
		}
		_, rest := cutMark(masked)
		doc, broken := parse(rest)
		if broken != nil {
			t.Fatalf("the masked text is broken: %v\n%s", broken, masked)
		}
		for _, p := range newMasker(doc).places {
			if p.secret && p.original != p.masked {
				t.Fatalf("a secret is not masked at %s", p.path)
			}
		}
		for _, c := range config.Connections {
			for _, secret := range []Secret{c.Token, c.Password, c.WebhookSecret, c.GitSSH.Passphrase} {
				value := secret.Reveal()
				if len(value) < 6 || strings.HasPrefix(value, "value of ") || strings.Contains(mask, value) {
					continue
				}
				for _, p := range newMasker(doc).places {
					if p.comment && strings.Contains(p.original[2:], value) {
						t.Fatalf("the comment %q holds a secret", p.original)
					}
				}
			}
		}
		edited, err := SetPrimaryURL(text, "https://fuzz.example.com")
		if err != nil {
			t.Fatalf("SetPrimaryURL: %v", err)
		}
		if config, said := Check(edited, fuzzOptions()); config == nil || config.Primary.String() != "https://fuzz.example.com" {
			t.Fatalf("after SetPrimaryURL: %v\n%s", said, edited)
		}
		if added, start, end, err := AddBitbucketServer(text); err != nil || added[start:end] != tokenPlaceholder {
			t.Fatalf("AddBitbucketServer: %v\n%s", err, added)
		}
	})
}
