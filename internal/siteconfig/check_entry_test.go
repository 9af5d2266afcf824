package siteconfig

import (
	"strings"
	"testing"
)

func TestCheckEntry(t *testing.T) {
	t.Parallel()
	const stored = `{"bitbucketServer": [{"url": "https://bitbucket.example.com", "username": "bot", "password": "canary"}]}`
	p := loaded(t, &memoryVersions{all: []StoredVersion{{Version: 1, Text: stored}}})
	for _, c := range []struct {
		name     string
		entry    string
		password string // of the connection; "" for none
		says     string // the first problem
		line     int
	}{
		{"a masked secret keeps its stored value", `{"url": "https://bitbucket.example.com", "username": "bot", "password": "` + mask + `"}`, "canary", "", 0},
		{"a secret that is typed counts", `{"url": "https://bitbucket.example.com", "username": "bot", "password": "typed"}`, "typed", "", 0},
		{"a masked secret goes to no other host", `{"url": "https://elsewhere.example.com", "username": "bot", "password": "` + mask + `"}`, "", "type the secret", 1},
		{"a mistake has its line in the entry", "{\n  \"url\": \"https://bitbucket.example.com\",\n  \"token\": \"t-1\", \"pasword\": \"x\"\n}", "", "password", 3},
		{"what means nothing here is a warning", `{"url": "https://bitbucket.example.com", "username": "bot", "password": "typed", "plugin": {}}`, "typed", "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, problems, err := p.CheckEntry(t.Context(), c.entry)
			if err != nil || (got == nil) != (c.password == "") || problems.HasErrors() != (got == nil) {
				t.Fatalf("%v, %v, %v", got, problems, err)
			}
			if got != nil && got.Password.Reveal() != c.password {
				t.Error("the password is another one")
			}
			if c.line == 0 {
				if len(problems) != 0 {
					t.Errorf("problems %v, want none", problems)
				}
				return
			}
			if len(problems) == 0 || problems[0].Line != c.line || !strings.Contains(problems[0].String(), c.says) {
				t.Errorf("problems %v, want %q on line %d", problems, c.says, c.line)
			}
		})
	}
	if text, err := p.Text(t.Context()); err != nil || text.Text != stored {
		t.Error("a check changed what is stored")
	}
}
