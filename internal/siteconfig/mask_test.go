package siteconfig

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMaskHidesSecretsAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{
			"values of secret keys, formatting kept",
			"{\"bitbucketServer\":[ {\"url\" : \"https://b.example.com\" ,\n\t\"token\":\"abc\", \"username\": \"abc\" , \"password\" :\"d\\\"ef\",},]}",
			"{\"bitbucketServer\":[ {\"url\" : \"https://b.example.com\" ,\n\t\"token\":\"REDACTED\", \"username\": \"abc\" , \"password\" :\"REDACTED\",},]}",
		},
		{
			"the keys of gitSSHCredential and webhooks",
			`{"bitbucketServer":[{"gitSSHCredential":{"privateKey":"a","passphrase":"b","knownHosts":"c"},"webhooks":{"secret":"d"}}]}`,
			`{"bitbucketServer":[{"gitSSHCredential":{"privateKey":"REDACTED","passphrase":"REDACTED","knownHosts":"c"},"webhooks":{"secret":"REDACTED"}}]}`,
		},
		{
			"references and empty texts stay",
			`{"token": "env:TOKEN", "password": "file:/run/secrets/p", "secret": ""}`,
			`{"token": "env:TOKEN", "password": "file:/run/secrets/p", "secret": ""}`,
		},
		{
			"what only begins like a reference is a secret",
			`{"token": "env:not a name", "password": "file:"}`,
			`{"token": "REDACTED", "password": "REDACTED"}`,
		},
		{
			"keys of Sourcegraph that are ignored here",
			`{"auth.providers":[{"clientSecret":"x","clientID":"y"}],"licenseKey":"z","github":[{"url":"https://u:p@github.example.com","token":"t"}],"tlsKey":"k"}`,
			`{"auth.providers":[{"clientSecret":"REDACTED","clientID":"y"}],"licenseKey":"REDACTED","github":[{"url":"https://REDACTED@github.example.com","token":"REDACTED"}],"tlsKey":"REDACTED"}`,
		},
		{
			"mistyped keys, and values of another type",
			`{"tokn": "abc", "passwrod": "def", "token": 12345, "secret": ["a", {"b": "c"}]}`,
			`{"tokn": "REDACTED", "passwrod": "REDACTED", "token": "REDACTED", "secret": ["REDACTED", {"b": "REDACTED"}]}`,
		},
		{
			"user info of a URL, but not the git of ssh",
			`{"bitbucketServer":[{"url":"https://bot:p@ss@b.example.com/x","aliases":["https:\/\/bot:pw@c.example.com","ssh://git@b.example.com:7999/a/b.git","ssh://git:pw@b.example.com"]}]}`,
			`{"bitbucketServer":[{"url":"https://REDACTED@b.example.com/x","aliases":["REDACTED","ssh://git@b.example.com:7999/a/b.git","ssh://REDACTED@b.example.com"]}]}`,
		},
		{
			"a private key wherever it stands",
			`{"certificate": "-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----\n"}`,
			`{"certificate": "REDACTED"}`,
		},
		{
			"commented lines",
			"{\n  // \"token\": \"abc\",  // old\n  /* \"password\": \"de,f\", \"username\": \"bot\" */\n  // token: 'abc'\n  // PASSWORD=abc\n  // \"token\": \"env:TOKEN\"\n}",
			"{\n  // \"token\": \"REDACTED\",  // old\n  /* \"password\": \"REDACTED\", \"username\": \"bot\" */\n  // token: 'REDACTED'\n  // PASSWORD=\"REDACTED\"\n  // \"token\": \"env:TOKEN\"\n}",
		},
		{
			"a commented entry over several lines",
			"/* {\n  \"url\": \"https://b.example.com\",\n  \"token\":\n    \"abc\",\n  \"password\": \"unclosed\n} */",
			"/* {\n  \"url\": \"https://b.example.com\",\n  \"token\":\n    \"REDACTED\",\n  \"password\": \"REDACTED\"\n} */",
		},
		{
			"a stored secret that a comment repeats",
			"{\"token\": \"abc+/=def\", \"password\": \"pw\"} // abc+/=def, abc%2B%2F%3Ddef, and pw, but not pwd",
			"{\"token\": \"REDACTED\", \"password\": \"REDACTED\"} // REDACTED, REDACTED, and REDACTED, but not pwd",
		},
		{
			"words of a comment that look like tokens",
			"// NzQ5NTM5MDk0NDE1OqPOm8GHGpBvR, BBDC-NzQ5/x+=; see https://b.example.com/plugins/servlet/access-tokens/Manage2Tokens\n",
			"// REDACTED, REDACTED; see https://b.example.com/plugins/servlet/access-tokens/Manage2Tokens\n",
		},
		{
			"a private key that is commented out line by line",
			"// -----BEGIN OPENSSH PRIVATE KEY-----\n// b3Bl\n// YQ==\n// -----END OPENSSH PRIVATE KEY-----\n// the end\n",
			"// REDACTED\n// REDACTED\n// REDACTED\n// REDACTED\n// the end\n",
		},
		{
			"prose stays",
			"// The token of the bot account is made by hand; ask the password owners.\n{}",
			"// The token of the bot account is made by hand; ask the password owners.\n{}",
		},
		{
			"line ends and a byte order mark stay",
			"\ufeff{\r\n  // \"token\": \"abc\"\r\n  \"token\": \"abc\"\r\n}\r\n",
			"\ufeff{\r\n  // \"token\": \"REDACTED\"\r\n  \"token\": \"REDACTED\"\r\n}\r\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, Mask(c.text)); diff != "" {
				t.Errorf("Mask(%s) (-want +got):\n%s", c.text, diff)
			}
			if restored, err := Unmask(Mask(c.text), c.text); err != nil || restored != c.text {
				t.Errorf("Unmask gives %q, %v; want %q", restored, err, c.text)
			}
		})
	}
}

// Nothing of these texts is broken, but the secret stands where one would not look for it.
func TestMaskHidesSecretsInOddPlaces(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a slash in the password of an address":     `{"github": [{"url": "https://bot:pa/hunter2@b.example.com"}]}`,
		"a quote in it":                             `{"github": [{"url": "https://bot:pa'hunter2@b.example.com"}]}`,
		"an escaped quote in it":                    `{"github": [{"url": "https://bot:hunter2\"@b.example.com"}]}`,
		"a space in it":                             `{"github": [{"url": "https://bot:pa hunter2@b.example.com"}]}`,
		"an address without a scheme":               `{"github": [{"url": "bot:hunter2@b.example.com"}, {"url": "//bot:hunter2@b.example.com"}]}`,
		"an address with one slash":                 `{"github": [{"url": "https:/bot:hunter2@b.example.com"}]}`,
		"a parameter of an address":                 `{"github": [{"url": "https://b.example.com/?x=1&access_token=hunter2"}]}`,
		"a header":                                  `{"log": {"Authorization": "Bearer hunter2"}}`,
		"keys of other programs":                    `{"log": {"pwd": "hunter2", "pass": "hunter2", "integrationKey": "hunter2", "credentials": "hunter2"}}`,
		"a key with escapes":                        `{"t\u006fken": "hunter2", "log": {"pass\u0077ord": "hunter2"}}`,
		"a commented key with escapes":              "{} // \"t\\u006fken\": \"hunter2\"",
		"a commented value on the next line":        "{\n  // \"token\":\n  //   \"hunter2\",\n}",
		"the same with carriage returns":            "{\r\n  // password:\r\n  // hunter2\r\n}",
		"a commented command":                       "{} // curl -u bot:hunter2 https://b.example.com",
		"a commented command without a space":       "{} // curl -ubot:hunter2 https://b.example.com",
		"a short name":                              "{} // pw: hunter2",
		"a commented header":                        "{} // curl -H 'Authorization: Bearer hunter2' https://b.example.com",
		"a quote in a commented address's password": "{} // https://bot:pa'hunter2@b.example.com",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			masked := Mask(text)
			if strings.Contains(masked, "hunter2") || strings.Count(masked, "\n") != strings.Count(text, "\n") {
				t.Errorf("Mask(%s) is\n%s", text, masked)
			}
			if restored, err := Unmask(masked, text); err != nil || restored != text {
				t.Errorf("Unmask gives %q, %v; want %q", restored, err, text)
			}
		})
	}
}

func TestMaskLeavesAddressesWithAnAtSignInTheirPath(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"https://b.example.com/a@b", "https://b.example.com:8443/a@b", "https://[2001:db8::1]/a@b", "https://[2001:db8::1]:8443/a@b",
		"ssh://git@b.example.com:7999/a/b.git", "git@b.example.com:a/b.git", "[b.example.com]:7999 ssh-ed25519 AAAA root@b",
		"?name=a&permission=REPO_READ", "^a/b@c",
	} {
		if text := `{"x": "` + value + `"}`; Mask(text) != text {
			t.Errorf("Mask(%s) is %s", text, Mask(text))
		}
	}
}

// Nothing of a text that cannot be parsed is shown, wherever its secret is.
func TestMaskShowsNothingOfABrokenText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"{\"token\": \"hunter2\" \"url\": \"https://b.example.com\"}",
		"{\"token\": \"hunter2",
		"{token: hunter2}",
		"{ /* \"token\": \"hunter2\"",
		"\ufeff{\"url\": \"https://bot:hunter2@b.example.com\"",
		"{\"token\": \"hunter2\", \"x\": \"\xff\"}",
		"hunter2",
	} {
		masked := Mask(text)
		if masked != notShown {
			t.Errorf("Mask(%q) is %q", text, masked)
		}
		if _, broken := parse(masked); broken == nil {
			t.Errorf("what stands for a broken text can be parsed, and so stored in its place")
		}
	}
}

// A value can stand some lines below its name, in a comment with a separator of its own.
func TestMaskHidesAValueBelowTheSeparatorBelowItsName(t *testing.T) {
	t.Parallel()
	const text = "{\n  // \"token\"\n  // : [\n  // hunter2\n}\n"
	if masked := Mask(text); strings.Contains(masked, "hunter2") {
		t.Errorf("shows the secret:\n%s", masked)
	}
}

const storedTwo = `{
  // Both are read by the bot.
  "bitbucketServer": [
    {
      "name": "a", // "token": "old-a"
      "url": "https://a.example.com",
      "token": "tok\u0065n-a",
      "webhooks": {"secret": "hook-a"},
    },
    {
      "name": "b", // "token": "old-b"
      "url": "https://b.example.com/bitbucket",
      "username": "bot",
      "password": "password-b",
      "gitSSHCredential": {"privateKey": "key-b", "passphrase": "env:PHRASE"},
    },
  ],
}
`

func TestUnmaskKeepsEachSecretWithItsConnection(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(masked string) string
		want   func(stored string) string // nil: the same change of the stored text
	}{
		{"nothing changed", func(s string) string { return s }, nil},
		{"another key changed", func(s string) string { return strings.Replace(s, `"bot"`, `"robot"`, 1) }, nil},
		{"white space changed", func(s string) string { return strings.ReplaceAll(s, "      ", "\t\t\t") }, nil},
		{"the connections change places", swapEntries, nil},
		{"the first is removed", func(s string) string { return cutEntry(s, "a") }, nil},
		{"the second is removed", func(s string) string { return cutEntry(s, "b") }, nil},
		{"one is added before them", func(s string) string {
			return strings.Replace(s, "[\n", "[\n{\"url\": \"https://c.example.com\", \"token\": \"token-c\"},\n", 1)
		}, nil},
		{"a connection is renamed", func(s string) string { return strings.Replace(s, `"name": "b"`, `"name": "c"`, 1) }, nil},
		{"the url is spelled otherwise", func(s string) string {
			return strings.Replace(s, "https://b.example.com/bitbucket", "HTTPS://B.example.com:443/bitbucket/", 1)
		}, nil},
		{
			"a secret is typed anew",
			func(s string) string { return strings.Replace(s, `"password": "REDACTED"`, `"password": "new"`, 1) },
			func(s string) string { return strings.Replace(s, `"password": "password-b"`, `"password": "new"`, 1) },
		},
		{
			"a comment that is changed loses what was masked in it",
			func(s string) string {
				return strings.Replace(s, `"a", // "token": "REDACTED"`, `"a", // formerly "token": "REDACTED"`, 1)
			},
			func(s string) string {
				return strings.Replace(s, `// "token": "old-a"`, `// formerly "token": "REDACTED"`, 1)
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := c.change
			if c.want != nil {
				want = c.want
			}
			masked := Mask(storedTwo)
			changed := c.change(masked)
			if changed == masked && c.name != "nothing changed" {
				t.Fatal("the change changes nothing")
			}
			got, err := Unmask(changed, storedTwo)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want(storedTwo), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// entries returns what stands before, between and after the two entries of storedTwo.
func entries(text string) (before, a, b, after string) {
	start := strings.Index(text, "    {\n")
	middle := strings.Index(text, "    },\n") + len("    },\n")
	end := strings.Index(text, "  ],\n")
	return text[:start], text[start:middle], text[middle:end], text[end:]
}

func swapEntries(text string) string {
	before, a, b, after := entries(text)
	return before + b + a + after
}

func cutEntry(text, name string) string {
	before, a, b, after := entries(text)
	if name == "a" {
		return before + b + after
	}
	return before + a + after
}

func TestUnmaskAsksForASecretThatItDoesNotHave(t *testing.T) {
	t.Parallel()
	const changed = "is masked, and no secret is stored for this url (a connection whose url was changed does not keep its secrets): type the secret"
	const missing = "is masked, and no secret is stored for it: type the secret"
	masked := Mask(storedTwo)
	for _, c := range []struct{ name, masked, want string }{
		{
			"the host was changed",
			strings.Replace(masked, "https://a.example.com", "https://evil.example.com", 1),
			"7:16 error bitbucketServer[0].token: " + changed + "\n8:30 error bitbucketServer[0].webhooks.secret: " + changed,
		},
		{
			"only the scheme was changed",
			strings.Replace(masked, "https://b.", "http://b.", 1),
			"14:19 error bitbucketServer[1].password: " + changed + "\n15:42 error bitbucketServer[1].gitSSHCredential.privateKey: " + changed,
		},
		{
			"only the context path was changed",
			strings.Replace(masked, "/bitbucket\"", "/other\"", 1),
			"14:19 error bitbucketServer[1].password: " + changed + "\n15:42 error bitbucketServer[1].gitSSHCredential.privateKey: " + changed,
		},
		{
			"the urls change places, so that each would get the secret of the other",
			strings.NewReplacer("https://a.example.com", "https://b.example.com/bitbucket", "https://b.example.com/bitbucket", "https://a.example.com").Replace(masked),
			"7:16 error bitbucketServer[0].token: " + missing + "\n8:30 error bitbucketServer[0].webhooks.secret: " + missing +
				"\n14:19 error bitbucketServer[1].password: " + missing + "\n15:42 error bitbucketServer[1].gitSSHCredential.privateKey: " + missing,
		},
		{
			"a connection was copied to another host",
			strings.Replace(masked, "  ],\n", "    {\"name\": \"a\", \"url\": \"https://c.example.com\", \"token\": \"REDACTED\"},\n  ],\n", 1),
			"17:60 error bitbucketServer[2].token: " + changed,
		},
		{
			"a connection was copied",
			strings.Replace(masked, "  ],\n", "    {\"url\": \"https://a.example.com\", \"token\": \"REDACTED\"},\n  ],\n", 1),
			"17:47 error bitbucketServer[2].token: " + changed,
		},
		{
			"a masked token stands in a connection that has none",
			strings.Replace(masked, `"password": "REDACTED"`, `"token": "REDACTED"`, 1),
			"14:16 error bitbucketServer[1].token: " + missing,
		},
		{
			"a commented secret is taken out of its comment",
			strings.Replace(strings.Replace(masked, "      \"token\": \"REDACTED\",\n", "", 1), `// "token"`, "\n\"token\"", 1),
			"",
		},
		{
			"a reference was masked by hand",
			strings.Replace(masked, "env:PHRASE", "REDACTED", 1),
			"15:68 error bitbucketServer[1].gitSSHCredential.passphrase: " + missing,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text, err := Unmask(c.masked, storedTwo)
			if c.want == "" { // the live secret of the same key: it goes where it went before
				if err != nil || strings.Contains(text, "old-a") {
					t.Errorf("got %s, %v", text, err)
				}
				return
			}
			var said Problems
			if !errors.As(err, &said) || text != "" {
				t.Fatalf("got %q, %v: want problems", text, err)
			}
			if diff := cmp.Diff(c.want, said.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnmaskReturnsATextThatCannotBeParsedAsItIs(t *testing.T) {
	t.Parallel()
	const text = `{"bitbucketServer": [{"url": "https://a.example.com", "token": "REDACTED"`
	if got, err := Unmask(text, storedTwo); got != text || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestTenRoundsOfMaskingChangeNothing(t *testing.T) {
	t.Parallel()
	texts := testTexts(t, "good")
	texts["two connections"] = storedTwo
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := text
			for range 10 {
				masked := Mask(got)
				for _, secret := range []string{"s3cret", "hunter2", "2019", "NzQ5", "password-b", "hook-a", "old-"} {
					if strings.Contains(masked, secret) {
						t.Fatalf("the masked text holds %q:\n%s", secret, masked)
					}
				}
				next, err := Unmask(masked, got)
				if err != nil {
					t.Fatal(err)
				}
				got = next
			}
			if diff := cmp.Diff(text, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestShortSecretsAreHiddenAsWordsOnly(t *testing.T) {
	t.Parallel()
	known := newKnownSecrets([]string{"a", "pw", "+x+", "longer-one", "longer-one-yet"})
	for line, want := range map[string]string{
		"":                         "",
		"a b ab ba":                "REDACTED b ab ba",
		"pw, pwd, (pw)":            "REDACTED, pwd, (REDACTED)",
		"1+x+2":                    "1REDACTED2",
		"no-longer-one-yet-or-two": "no-REDACTED-or-two",
		"longer-one/longer-ones":   "REDACTED/REDACTEDs",
		"pw":                       "REDACTED",
		"äpw":                      "äpw",
	} {
		if got := known.mask(line); got != want {
			t.Errorf("mask(%q) is %q, want %q", line, got, want)
		}
	}
}
