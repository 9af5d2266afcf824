package webhook

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
)

// The payloads as the versions send them, short of what is not read.
const (
	builtInPush = `{"eventKey":"repo:refs_changed","date":"2018-03-01T10:00:00+1000","actor":{"name":"jane","id":3},` +
		`"repository":{"slug":"app","id":42,"name":"App","scmId":"git","state":"AVAILABLE","project":{"key":"PRJ","id":5,"name":"Project","type":"NORMAL"},"public":false},` +
		`"changes":[{"ref":{"id":"refs/heads/main","displayId":"main","type":"BRANCH"},"refId":"refs/heads/main",` +
		`"fromHash":"1111111111111111111111111111111111111111","toHash":"2222222222222222222222222222222222222222","type":"UPDATE"}]}`
	noChanges  = `{"changes":[],"repository":{"id":42,"slug":"app","project":{"key":"PRJ"}},"eventKey":"repo:refs_changed"}`
	pluginPush = `{"actor":{"username":"jane"},"repository":{"scmId":"git","project":{"key":"PRJ","name":"Project"},"slug":"app",` +
		`"links":{"self":[{"href":"http://localhost:7990/projects/PRJ/repos/app/browse"}]},"public":false,"ownerName":"PRJ","fullName":"PRJ/app"},` +
		`"push":{"changes":[{"created":true,"closed":false,"old":null,"new":{"type":"branch","name":"x","target":{"type":"commit","hash":"2222222222222222222222222222222222222222"}}}]}}`
	oldPluginPush = `{"actor":{"username":"jane"},"repository":{"slug":"app","project":{"key":"PRJ"}}}`
	postReceive   = `{"repository":{"slug":"app","id":42,"name":"App","project":{"key":"PRJ","id":5}},` +
		`"refChanges":[{"refId":"refs/heads/main","fromHash":"1","toHash":"2","type":"UPDATE"}],"changesets":{"size":0,"values":[]}}`
	sourcegraphPush = `{"createdDate":1520000000000,"user":{"name":"jane"},"repository":{"slug":"app","id":42,"project":{"key":"PRJ"}},"refChanges":[{"refId":"refs/heads/main"}]}`
	renamed         = `{"eventKey":"repo:modified","old":{"slug":"legacy","id":42,"project":{"key":"OLD"}},"new":{"slug":"app","id":42,"project":{"key":"PRJ"}}}`
	opened          = `{"eventKey":"pr:opened","pullRequest":{"id":7,"fromRef":{"repository":{"slug":"app","id":99,"project":{"key":"~JANE"}}},` +
		`"toRef":{"repository":{"slug":"app","id":42,"project":{"key":"PRJ"}}},"links":{"self":[null]}}}`
	synchronized = `{"eventKey":"repo:refs_changed","mirrorServer":{"id":"AB","name":"mirror"},"syncType":"SNAPSHOT","refLimitExceeded":true,"changes":[],` +
		`"repository":{"id":42,"slug":"app","project":{"key":"PRJ"}}}`
)

func app(number int64) Repository {
	return Repository{Number: number, Address: bitbucket.Address{Key: "PRJ", Slug: "app"}}
}

func TestParse(t *testing.T) {
	t.Parallel()
	push := Delivery{Kind: Push, Repository: app(42)}
	pull := Delivery{Kind: PullRequest, Repository: app(42), PullRequest: 7}
	for name, c := range map[string]struct {
		key, body string
		want      Delivery
	}{
		"a push of the built-in webhooks":                                 {"repo:refs_changed", builtInPush, push},
		"a push whose changes are empty still is one":                     {"repo:refs_changed", noChanges, push},
		"a push whose header a proxy took away is known by its body":      {"", builtInPush, push},
		"a push of the Post Webhooks plugin has no number":                {"repo:push", pluginPush, Delivery{Kind: Push, Repository: app(0)}},
		"an older plugin sends neither links nor push":                    {"repo:push", oldPluginPush, Delivery{Kind: Push, Repository: app(0)}},
		"a plugin's push without a header is known by its shape":          {"", pluginPush, Delivery{Kind: Push, Repository: app(0)}},
		"Post-Receive sends no header":                                    {"", postReceive, push},
		"Sourcegraph's plugin":                                            {"repo:refs_changed", sourcegraphPush, push},
		"a rename or a move":                                              {"repo:modified", renamed, Delivery{Kind: Modified, Repository: app(42), Former: Repository{42, bitbucket.Address{Key: "OLD", Slug: "legacy"}}}},
		"a pull request belongs to where it goes":                         {"pr:opened", opened, pull},
		"a pull request's event of tomorrow":                              {"pr:of_tomorrow", opened, pull},
		"a comment on a pull request":                                     {"pr:comment:added", opened, pull},
		"a pull request without its ref belongs to the repository":        {"pr:deleted", noChanges, Delivery{Kind: PullRequest, Repository: app(42)}},
		"a mirror of 6.5 says another key in the body; the header counts": {"mirror:repo_synchronized", synchronized, Delivery{Kind: Synchronized, Repository: app(42)}},
		"a ping":                                           {"diagnostics:ping", `{"test":true}`, Delivery{Kind: Ping}},
		"a ping without a header":                          {"", `{"test": true}`, Delivery{Kind: Ping}},
		"a fork is of no concern":                          {"repo:forked", noChanges, Delivery{}},
		"a key of tomorrow is of no concern":               {"repo:exploded", noChanges, Delivery{}},
		"a push that names no repository is of no concern": {"repo:refs_changed", `{"changes":[]}`, Delivery{}},
		"a push of half an address":                        {"repo:push", `{"repository":{"slug":"app"}}`, Delivery{}},
		"an empty object":                                  {"", `{}`, Delivery{}},
		"a number may be a string":                         {"repo:refs_changed", `{"repository":{"id":"42","slug":"app","project":{"key":"PRJ"}}}`, push},
		"a number that is none is absent":                  {"repo:refs_changed", `{"repository":{"id":4.5e99,"slug":"app","project":{"key":"PRJ"}}}`, Delivery{Kind: Push, Repository: app(0)}},
		"a negative number is absent":                      {"repo:refs_changed", `{"repository":{"id":-1,"slug":"app","project":{"key":"PRJ"}}}`, Delivery{Kind: Push, Repository: app(0)}},
		"null where an object was":                         {"repo:refs_changed", `{"repository":null,"pullRequest":null}`, Delivery{}},
		"a list where an object was":                       {"pr:opened", `{"pullRequest":[1,2],"repository":{"id":42,"slug":"app","project":{"key":"PRJ"}}}`, Delivery{Kind: PullRequest, Repository: app(42)}},
		"a project that is no object leaves the number":    {"repo:refs_changed", `{"repository":{"project":7,"id":42,"slug":"app"}}`, Delivery{Kind: Push, Repository: Repository{Number: 42}}},
		"a slug with a slash is none":                      {"repo:push", `{"repository":{"slug":"../x","project":{"key":"PRJ"}}}`, Delivery{}},
		"a slug that is too long is none":                  {"repo:push", `{"repository":{"slug":"` + strings.Repeat("a", 600) + `","project":{"key":"PRJ"}}}`, Delivery{}},
		"brackets in a text are no depth":                  {"repo:refs_changed", `{"note":"` + strings.Repeat("[{", 500) + `\"[","repository":{"id":42,"slug":"app","project":{"key":"PRJ"}}}`, push},
		"a personal repository":                            {"repo:refs_changed", `{"repository":{"id":9,"slug":"x","project":{"key":"~JANE","owner":{"name":"jane"}}}}`, Delivery{Kind: Push, Repository: Repository{9, bitbucket.Address{Key: "~JANE", Slug: "x"}}}},
		"the clone links of elsewhere do not matter":       {"repo:refs_changed", `{"repository":{"id":42,"slug":"app","project":{"key":"PRJ"},"links":{"clone":[{"href":"ssh://git@evil/x/y.git"}]}}}`, push},
		"white space around it":                            {"repo:refs_changed", "\r\n " + builtInPush + "\n", push},
		"the header's letters count as they are: Bitbucket writes them in lower": {"REPO:REFS_CHANGED", builtInPush, Delivery{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(c.key, []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":                      ``,
		"a form":                       `payload=%7B%7D`,
		"a list":                       `[]`,
		"a text":                       `"repo:push"`,
		"null":                         `null`,
		"what breaks off":              builtInPush[:len(builtInPush)-2],
		"two documents":                `{}{}`,
		"what is nested too deeply":    `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
		"a million brackets":           strings.Repeat("[", 1<<20),
		"brackets after a broken text": `{"a":"` + strings.Repeat("{", 100),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := Parse("repo:refs_changed", []byte(body)); !errors.Is(err, ErrUnreadable) {
				t.Errorf("got %+v, %v; want ErrUnreadable", got, err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, body := range []string{builtInPush, pluginPush, oldPluginPush, postReceive, renamed, opened, synchronized, `{"test":true}`} {
		for _, key := range []string{"", "repo:push", "repo:modified", "pr:opened", "mirror:repo_synchronized"} {
			f.Add(key, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, key string, body []byte) {
		d, err := Parse(key, body)
		switch {
		case err != nil && !errors.Is(err, ErrUnreadable):
			t.Errorf("the error is %v", err)
		case err != nil && d != (Delivery{}):
			t.Errorf("%+v beside an error", d)
		case d.Kind == Push && d.Repository.IsZero():
			t.Error("a push of no repository")
		case d.Repository.Number < 0 || d.PullRequest < 0:
			t.Errorf("a negative number: %+v", d)
		}
		for _, part := range []string{d.Repository.Address.Key, d.Repository.Address.Slug, d.Former.Address.Key, d.Former.Address.Slug} {
			if strings.ContainsAny(part, "/\\") || len(part) > maxText {
				t.Errorf("no part of an address: %q", part)
			}
		}
		_ = d.Kind.String()
	})
}
