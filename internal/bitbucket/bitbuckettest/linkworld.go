package bitbuckettest

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
)

// LinkWorldOptions says how to build a LinkWorld.
type LinkWorldOptions struct {
	Version string // of both servers; 8.19 if empty
	// BeforeMove leaves PRJ/repo at its former address, OLD/legacy, until Move is called: an
	// index learns of a former address only by seeing the repository there.
	BeforeMove bool
	Dir        string // where both keep their repositories; temporary folders if empty
	Logger     *slog.Logger
	ListenTo   [3]string // addresses of the two servers and the proxy; free ports if empty
}

// LinkWorld is the world that the link cases describe, with real git: two servers with
// TLS that call themselves https://bitbucket.example.com (also https://stash.example.com) and
// https://code.example.org:8443/git/bitbucket, and a proxy that leads there. Close it.
type LinkWorld struct {
	First  *Server // https://bitbucket.example.com
	Second *Server // https://code.example.org:8443/git/bitbucket
	Proxy  *Proxy  // for HTTPS_PROXY

	// Account is on both servers an administrator, who sees everything; Bot sees it as a usual account.
	// Their tokens are of use from 5.5 on.
	Account Credentials
	Bot     Credentials

	// Hashes leads from the hashes that stand in the cases to the real ones.
	Hashes map[string]string
}

// Credentials are what a configuration needs for an account.
type Credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Token    string `json:"token,omitempty"` // "" where the version has no tokens
}

// Addresses that the link cases use.
const (
	LinkWorldFirstURL  = "https://bitbucket.example.com"
	LinkWorldAliasURL  = "https://stash.example.com"
	LinkWorldSecondURL = "https://code.example.org:8443/git/bitbucket"
)

// Hashes that stand in the link cases for real ones.
var (
	hashMain    = strings.Repeat("d", 40)
	hashBranch  = strings.Repeat("f", 40)                    // branch v1
	hashTag     = strings.Repeat("e", 40)                    // tag v1
	hashRelease = "1234567890abcdef1234567890abcdef12345678" // branch release@2
	hashFrom7   = strings.Repeat("a", 40)                    // pull request 7, from
	hashTo      = strings.Repeat("b", 40)                    // pull requests 7 and 8, to
	hashFrom8   = strings.Repeat("c", 40)                    // pull request 8, from the fork
)

// StartLinkWorld builds the world.
func StartLinkWorld(o LinkWorldOptions) (*LinkWorld, error) {
	w := &LinkWorld{Hashes: map[string]string{}}
	if err := w.start(o); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *LinkWorld) start(o LinkWorldOptions) (err error) {
	folder := func(name string) string {
		if o.Dir == "" {
			return ""
		}
		return o.Dir + "/" + name
	}
	w.First, err = Start(Options{
		Version: o.Version, Listen: o.ListenTo[0], BaseURL: LinkWorldFirstURL, TLS: true,
		TLSHosts: []string{"bitbucket.example.com", "stash.example.com"}, Dir: folder("first"), Logger: o.Logger,
	})
	if err != nil {
		return err
	}
	w.Second, err = Start(Options{
		Version: o.Version, Listen: o.ListenTo[1], BaseURL: LinkWorldSecondURL, ContextPath: "/git/bitbucket", TLS: true,
		TLSHosts: []string{"code.example.org"}, Dir: folder("second"), Logger: o.Logger,
	})
	if err != nil {
		return err
	}
	w.Proxy, err = startProxyOn(cmp.Or(o.ListenTo[2], "127.0.0.1:0"), map[string]string{
		"bitbucket.example.com:443": w.First.Addr(),
		"stash.example.com:443":     w.First.Addr(),
		"code.example.org:8443":     w.Second.Addr(),
	})
	if err != nil {
		return err
	}
	w.Account = Credentials{Username: "admin", Password: "admin of the link world"}
	w.Bot = Credentials{Username: "signpost-bot", Password: "bot of the link world"}
	if w.First.HasTokens() {
		w.Account.Token, w.Bot.Token = "BBDC-link/world+admin", "BBDC-link/world+bot"
	}
	if err := w.buildFirst(); err != nil {
		return err
	}
	if err := w.buildSecond(); err != nil {
		return err
	}
	if !o.BeforeMove {
		return w.Move()
	}
	return nil
}

func (w *LinkWorld) addAccounts(s *Server, owner string) error {
	users := []User{
		{Name: w.Account.Username, Password: w.Account.Password, DisplayName: "Administrator", Email: "admin@example.com", Admin: true},
		{Name: w.Bot.Username, Password: w.Bot.Password, DisplayName: "Signpost", Email: "signpost@example.com"},
		{Name: owner, Password: "password of " + owner, DisplayName: strings.ToUpper(owner[:1]) + owner[1:] + " Example", Email: owner + "@example.com"},
	}
	if w.Account.Token != "" {
		users[0].Tokens, users[1].Tokens = []string{w.Account.Token}, []string{w.Bot.Token}
	}
	for _, u := range users {
		if _, err := s.AddUser(u); err != nil {
			return err
		}
	}
	return nil
}

// legacy is where PRJ/repo was before.
const (
	legacy  = "OLD/legacy"
	present = "PRJ/repo"
)

func (w *LinkWorld) buildFirst() error {
	s := w.First
	if err := w.addAccounts(s, "alice"); err != nil {
		return err
	}
	for _, p := range []Project{
		{Key: "PRJ", Name: "Project"}, {Key: "OLD", Name: "Old project"}, {Key: "XCL", Name: "Excluded"}, {Owner: "alice"},
	} {
		if _, err := s.AddProject(p); err != nil {
			return err
		}
	}
	if _, err := s.AddRepository(Repository{ID: 1, Project: "OLD", Slug: "legacy"}); err != nil {
		return err
	}
	hashes, err := s.Push(legacy, linkWorldHistory())
	if err != nil {
		return err
	}
	fork, err := s.AddRepository(Repository{ID: 4, Project: "~ALICE", Slug: "repo-fork", Origin: legacy})
	if err != nil {
		return err
	}
	forkHashes, err := s.Push(fork.Address(), History{Commits: []Commit{
		{Label: "cccc", Branch: "feature/y", From: hashes["bbbb"], Message: "The fork's own work", Files: linkWorldFiles("fork")},
	}})
	if err != nil {
		return err
	}
	for _, p := range []PullRequest{
		{Number: 7, Title: "Feature x", State: "DECLINED", From: "feature/x", To: "main", Author: "alice", FromCommit: hashes["aaaa"], ToCommit: hashes["bbbb"]},
		{
			Number: 8, Title: "Work of a fork", State: "DECLINED", From: "feature/y", FromRepository: fork.Address(), To: "main", Author: "alice",
			FromCommit: forkHashes["cccc"], ToCommit: hashes["bbbb"],
		},
	} {
		if _, err := s.AddPullRequest(legacy, p); err != nil {
			return err
		}
	}
	// What only the pull requests know loses its branches.
	for _, gone := range [][2]string{
		{legacy, "gone/from"},
		{legacy, "gone/to"},
		{fork.Address(), "gone/from"},
		{fork.Address(), "gone/to"},
		{fork.Address(), "feature/y"},
	} {
		if err := s.DeleteBranch(gone[0], gone[1]); err != nil {
			return err
		}
	}
	for _, r := range []Repository{
		{ID: 2, Project: "PRJ", Slug: "My.Dotted-repo", History: smallHistory("main")},
		{ID: 3, Project: "~ALICE", Slug: "dotfiles", History: smallHistory("main")},
		{ID: 5, Project: "PRJ", Slug: "empty"},
		{ID: 6, Project: "XCL", Slug: "secret", History: smallHistory("main")},
	} {
		if _, err := s.AddRepository(r); err != nil {
			return err
		}
	}
	hashes["cccc"] = forkHashes["cccc"]
	for label, placeholder := range map[string]string{
		"dddd": hashMain, "ffff": hashBranch, "eeee": hashTag, "1234": hashRelease, "aaaa": hashFrom7, "bbbb": hashTo, "cccc": hashFrom8,
	} {
		w.Hashes[placeholder] = hashes[label]
	}
	w.Hashes[hashRelease[:8]] = hashes["1234"][:8]
	return nil
}

func (w *LinkWorld) buildSecond() error {
	s := w.Second
	if err := w.addAccounts(s, "bob"); err != nil {
		return err
	}
	for _, p := range []Project{{Key: "TEAM", Name: "Team"}, {Owner: "bob"}} {
		if _, err := s.AddProject(p); err != nil {
			return err
		}
	}
	for _, r := range []Repository{
		{ID: 1, Project: "TEAM", Slug: "service", DefaultBranch: "develop", History: smallHistory("develop")},
		{ID: 2, Project: "~BOB", Slug: "notes", History: smallHistory("main")},
	} {
		if _, err := s.AddRepository(r); err != nil {
			return err
		}
	}
	return nil
}

// Move moves OLD/legacy to PRJ/repo.
func (w *LinkWorld) Move() error { return w.First.Rename(legacy, present) }

var placeholderPattern = regexp.MustCompile(`\b(?:[0-9a-f]{40}|12345678)\b`)

// Substitute puts the real hashes into the text of a case: its URL, or the link that it wants.
func (w *LinkWorld) Substitute(text string) string {
	return placeholderPattern.ReplaceAllStringFunc(text, func(hash string) string {
		return cmp.Or(w.Hashes[hash], hash)
	})
}

// CertificatePEM returns the certificates of both servers' authorities.
func (w *LinkWorld) CertificatePEM() string {
	return w.First.CertificatePEM() + w.Second.CertificatePEM()
}

// Close stops the servers and the proxy.
func (w *LinkWorld) Close() error {
	var errs []error
	if w.Proxy != nil {
		errs = append(errs, w.Proxy.Close())
	}
	for _, s := range []*Server{w.First, w.Second} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// linkWorldHistory is the history of PRJ/repo. All its commits hold the same paths. The
// commits aaaa and bbbb lie on branches that are deleted later.
func linkWorldHistory() History {
	commit := func(label, branch, from, message string, files map[string]File) Commit {
		return Commit{Label: label, Branch: branch, From: from, Message: message, Files: files}
	}
	return History{
		Commits: []Commit{
			commit("root", "main", "", "Begin", linkWorldFiles("root")),
			commit("eeee", "main", "root", "Version 1", map[string]File{"README.md": Text(numbered("tag", 20))}),
			commit("ffff", "v1", "eeee", "Maintain version 1", map[string]File{"README.md": Text(numbered("branch v1", 20))}),
			commit("1234", "release@2", "eeee", "Release 2", map[string]File{"README.md": Text(numbered("release 2", 20))}),
			commit("bbbb", "gone/to", "eeee", "What the pull requests went to", map[string]File{"README.md": Text(numbered("to", 20))}),
			commit("aaaa", "gone/from", "bbbb", "What the pull request brought", map[string]File{"cmd/a.go": Text(numbered("// from", 20))}),
			commit("dddd", "main", "eeee", "Go on", map[string]File{"README.md": Text(numbered("main", 20))}),
			commit("", "feature/x", "dddd", "Feature x, once more", map[string]File{"cmd/a.go": Text(numbered("// feature", 20))}),
		},
		Tags: []Tag{
			{Name: "v1", Target: "eeee", Message: "Version 1"}, // annotated: its object is no commit
			{Name: "v1.0", Target: "eeee"},
		},
	}
}

func linkWorldFiles(text string) map[string]File {
	return map[string]File{
		"README.md":                  Text(numbered(text, 20)),
		"cmd/a.go":                   Text(numbered("// "+text, 20)),
		"docs/a b#c?.md":             Text(numbered(text, 8)),
		"docs/\u00fcn\u00efcode.txt": Text(numbered(text, 8)), // composed (NFC)
		"docs/100%.md":               Text(numbered(text, 8)),
		"docs/plus+sign.md":          Text(numbered(text, 8)),
		"third_party/lib":            Submodule("5555555555555555555555555555555555555555"),
	}
}

func smallHistory(branch string) *History {
	return &History{Commits: []Commit{{Branch: branch, Message: "Begin", Files: map[string]File{
		"README.md":   Text(numbered("read me", 20)),
		"src/main.go": Text("package main\n\nfunc main() {}\n"),
	}}}}
}

// numbered returns lines that say their number.
func numbered(text string, lines int) string {
	var b strings.Builder
	for i := range lines {
		fmt.Fprintf(&b, "%s, line %d\n", text, i+1)
	}
	return b.String()
}
