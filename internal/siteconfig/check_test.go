package siteconfig

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/sourcegraph"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

// encryptedKey was made for these tests with a single round of its key derivation; those
// that x/crypto makes cost a second each to open.
//
//go:embed testdata/encrypted-key
var encryptedKey []byte

// testKeys are a plain private key, made once, and one with the passphrase "open sesame".
var testKeys = sync.OnceValues(func() (plain, encrypted []byte) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "test")
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(block), encryptedKey
})

// testOptions stand for an environment and a disk.
func testOptions() CheckOptions {
	return CheckOptions{
		LookupEnv: func(name string) (string, bool) {
			value, ok := map[string]string{"BITBUCKET_TOKEN": "env-s3cret-token", "UNFILLED": "<the bot's token>", "SIGNPOST_ADMIN_TOKEN": "admin"}[name]
			return value, ok
		},
		ReadFile: func(path string) ([]byte, error) {
			plain, encrypted := testKeys()
			switch path {
			case "/run/secrets/password":
				return []byte("file-s3cret\r\n"), nil
			case "/run/secrets/ssh-key":
				return plain, nil
			case "/run/secrets/ssh-key-base64":
				return []byte(base64.StdEncoding.EncodeToString(plain) + "\n"), nil
			case "/run/secrets/encrypted-key":
				return encrypted, nil
			case "/run/secrets/forbidden":
				return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
			case "/run/secrets/empty":
				return []byte("\n"), nil
			case "/run/secrets/two-lines":
				return []byte("one\ntwo\n"), nil
			case "/run/secrets/long":
				return make([]byte, maxSecretBytes+1), nil
			case "/run/secrets/broken":
				return nil, errors.New("input/output error")
			case "/run/secrets/folder":
				return nil, errNotAFile
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		},
	}
}

// testTexts returns the texts of a folder of testdata by name.
func testTexts(t testing.TB, folder string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.jsonc"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in testdata/%s: %v", folder, err)
	}
	texts := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[strings.TrimSuffix(filepath.Base(file), ".jsonc")] = string(text)
	}
	return texts
}

// wantFile compares got with NAME.want beside NAME.jsonc, or writes that with -update.
func wantFile(t *testing.T, folder, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", folder, name+".want")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEachRuleHasItsMessage(t *testing.T) {
	t.Parallel()
	for name, text := range testTexts(t, "bad") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, said := Check(text, testOptions())
			if config != nil || !said.HasErrors() {
				t.Errorf("config %v, problems %v: want errors and no config", config, said)
			}
			wantFile(t, "bad", name, said.Error()+"\n")
		})
	}
}

func TestWhatMeansNothingGetsAWarning(t *testing.T) {
	t.Parallel()
	for name, text := range testTexts(t, "warned") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, said := Check(text, testOptions())
			if config == nil || said.HasErrors() || len(said) == 0 {
				t.Errorf("config %v, problems %v: want a config and warnings", config, said)
			}
			wantFile(t, "warned", name, said.Error()+"\n")
		})
	}
}

func TestNoMessageHoldsASecret(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"bad", "warned", "good"} {
		for name, text := range testTexts(t, folder) {
			_, said := Check(text, testOptions())
			for _, secret := range []string{"s3cret", "hunter2", "access-tokens/add", "12345", "env-s3cret", "two-lines\n", "NzQ5"} {
				if strings.Contains(said.Error(), secret) {
					t.Errorf("%s: the problems hold %q:\n%s", name, secret, said)
				}
			}
		}
	}
}

func mustPattern(t testing.TB, text string) sourcegraph.PathPattern {
	t.Helper()
	pattern, err := sourcegraph.ParsePathPattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return pattern
}

func mustPrimary(t testing.TB, text string) sourcegraph.Instance {
	t.Helper()
	primary, err := sourcegraph.ParseInstance(text)
	if err != nil {
		t.Fatal(err)
	}
	return primary
}

// compareConfigs also compares secrets, which print alike.
var compareConfigs = cmp.Options{
	cmp.AllowUnexported(sourcegraph.PathPattern{}, sourcegraph.Instance{}),
	cmp.Transformer("Reveal", func(s Secret) string { return s.Reveal() }),
}

func TestAnEntryOf2018WorksUnchanged(t *testing.T) {
	t.Parallel()
	got, said := Check(testTexts(t, "good")["entry-of-2018"], testOptions())
	want := &Config{
		Connections: []Connection{{
			Name: "bitbucket.example.com",
			Server: bitbucket.Server{
				Name:      "bitbucket.example.com",
				Addresses: []bitbucket.BaseURL{{Scheme: "https", Host: "bitbucket.example.com"}},
			},
			Pattern:  mustPattern(t, "{host}/{projectKey}/{repositorySlug}"),
			Username: "sourcegraph-bot", Password: NewSecret("s3cret-of-2018"),
			GitURLType: "http", ExcludePersonal: true, Archived: "include", RequestsPerHour: 28800,
		}},
		CORSOrigins:            []string{"https://bitbucket.example.com", "https://stash.example.com"},
		RepoListUpdateInterval: time.Minute, MaxConcurrentClones: 5,
		GitEngine: EngineAuto, MirrorGrace: 7 * 24 * time.Hour, MinFreeDiskPercent: 10, MemoryBudget: 2 << 30,
	}
	if diff := cmp.Diff(want, got, compareConfigs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantProblems := "15:7 warning bitbucketServer[0].initialRepositoryEnablement: " +
		"means nothing to Signpost and is ignored: every selected repository is mirrored"
	if diff := cmp.Diff(wantProblems, said.Error()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestAnEntryOfTodayWorksUnchanged(t *testing.T) {
	t.Parallel()
	plain, _ := testKeys()
	got, said := Check(testTexts(t, "good")["entry-of-today"], testOptions())
	want := &Config{
		ExternalURL: "https://signpost.example.com",
		Primary:     mustPrimary(t, "https://sourcegraph.example.com"),
		Connections: []Connection{{
			Name: "bitbucket.example.com-8443-bitbucket",
			Server: bitbucket.Server{
				Name:      "bitbucket.example.com-8443-bitbucket",
				Addresses: []bitbucket.BaseURL{{Scheme: "https", Host: "bitbucket.example.com:8443", Path: "/bitbucket"}},
			},
			Pattern:  mustPattern(t, "bb/{projectKey}/{repositorySlug}"),
			Username: "sourcegraph-bot", Token: NewSecret("NzQ5NTM5MDk0NDE1OqPOm8GHGpBvR/2a+5s3XKuY3Q1z"),
			GitURLType: "ssh", GitSSH: SSHCredential{PrivateKey: NewSecret(string(plain))},
			Archived: "include", RequestsPerHour: 5000, MaxDeletions: 10, WebhookSecret: NewSecret("hook-s3cret"),
			Repos:           []string{"PRJ/my-repo", "~first.last/repo.name"},
			ProjectKeys:     []string{"TEAM", "~first.last"},
			RepositoryQuery: []string{"none", "?name=api&projectname=back+end", "visibility=public"},
			Exclude:         []Exclusion{{Name: "PRJ/old"}, {ID: 42}, {Pattern: "^OLD/.*"}},
		}},
		CORSOrigins:            []string{"https://bitbucket.example.com:8443"},
		RepoListUpdateInterval: time.Minute, MaxConcurrentClones: 5,
		GitEngine: EngineAuto, MirrorGrace: 7 * 24 * time.Hour, MinFreeDiskPercent: 10, MemoryBudget: 2 << 30,
	}
	if diff := cmp.Diff(want, got, compareConfigs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(said) != 3 || said.HasErrors() {
		t.Errorf("problems %v: want the warnings of gitURLType, plugin and authorization", said)
	}
}

func TestCommentsAliasesAndReferencesAreRead(t *testing.T) {
	t.Parallel()
	got, said := Check(testTexts(t, "good")["commented"], testOptions())
	if len(said) != 0 {
		t.Fatalf("problems:\n%v", said)
	}
	want := &Config{
		Primary: mustPrimary(t, "https://sourcegraph.example.com/sg"),
		Connections: []Connection{
			{
				Name: "main",
				Server: bitbucket.Server{Name: "main", Addresses: []bitbucket.BaseURL{
					{Scheme: "https", Host: "bitbucket.example.com"},
					{Scheme: "http", Host: "bitbucket.example.com"},
					{Scheme: "https", Host: "stash.example.com"},
				}},
				Token: NewSecret("env-s3cret-token"), GitURLType: "http", Archived: "exclude",
			},
			{
				Name: "2001-db8--1-7990-stash-two",
				Server: bitbucket.Server{Name: "2001-db8--1-7990-stash-two", Addresses: []bitbucket.BaseURL{
					{Scheme: "http", Host: "[2001:db8::1]:7990", Path: "/stash/two"},
				}},
				Username: "bot", Password: NewSecret("file-s3cret"), GitURLType: "http", Archived: "include", RequestsPerHour: 28800,
			},
		},
		CORSOrigins: []string{
			"https://bitbucket.example.com", "http://bitbucket.example.com", "https://stash.example.com", "http://[2001:db8::1]:7990",
		},
		RepoListUpdateInterval: 5 * time.Minute, MaxConcurrentClones: 5,
		GitEngine: EngineAuto, MirrorGrace: 7 * 24 * time.Hour, MinFreeDiskPercent: 10, MemoryBudget: 2 << 30,
	}
	if diff := cmp.Diff(want, got, compareConfigs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnEmptyTextIsAnEmptyConfiguration(t *testing.T) {
	t.Parallel()
	want := &Config{RepoListUpdateInterval: time.Minute, MaxConcurrentClones: 5, GitEngine: EngineAuto, MirrorGrace: 7 * 24 * time.Hour, MinFreeDiskPercent: 10, MemoryBudget: 2 << 30}
	for _, text := range []string{"", " \n", "{}", "// nothing", "/* nothing */ // yet\n", "\ufeff", "\ufeff{}"} {
		got, said := Check(text, CheckOptions{})
		if diff := cmp.Diff(want, got, compareConfigs); diff != "" || len(said) != 0 {
			t.Errorf("Check(%q): problems %v (-want +got):\n%s", text, said, diff)
		}
	}
}

func TestTokenWinsOverPassword(t *testing.T) {
	t.Parallel()
	config, _ := Check(testTexts(t, "warned")["token-and-password"], testOptions())
	c := config.Connections[0]
	if c.Token.Reveal() != "s3cret-token" || c.Username != "bot" || !c.Password.IsZero() {
		t.Errorf("got %q, %q, %q", c.Token.Reveal(), c.Username, c.Password.Reveal())
	}
}

func TestCertificatesAreAccepted(t *testing.T) {
	t.Parallel()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	one := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	for _, certificate := range []string{one, one + "\n" + one, strings.TrimSpace(one)} {
		text := fmt.Sprintf(`{"bitbucketServer": [{"url": "https://b.example.com", "token": "t", "certificate": %q}]}`, certificate)
		config, said := Check(text, testOptions())
		if len(said) != 0 || config.Connections[0].CertificatePEM != certificate {
			t.Errorf("problems %v", said)
		}
	}
	text := fmt.Sprintf(`{"bitbucketServer": [{"url": "https://b.example.com", "token": "t", "certificate": %q}]}`, one+"and more")
	if _, said := Check(text, testOptions()); !said.HasErrors() {
		t.Error("text after the certificate is accepted")
	}
}

func TestAnEncryptedKeyOpensWithItsPassphrase(t *testing.T) {
	t.Parallel()
	_, encrypted := testKeys()
	text := `{"bitbucketServer": [{"url": "https://b.example.com", "token": "t",
		"gitSSHCredential": {"privateKey": "file:/run/secrets/encrypted-key", "passphrase": "open sesame"}}]}`
	config, said := Check(text, testOptions())
	if len(said) != 0 {
		t.Fatalf("problems:\n%v", said)
	}
	want := SSHCredential{PrivateKey: NewSecret(string(encrypted)), Passphrase: NewSecret("open sesame")}
	if diff := cmp.Diff(want, config.Connections[0].GitSSH, compareConfigs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSecretFilesAreReadFromDisk(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "token")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config, said := Check(fmt.Sprintf(`{"bitbucketServer": [{"url": "https://b.example.com", "token": "file:%s"}]}`, file), CheckOptions{})
	if len(said) != 0 || config.Connections[0].Token.Reveal() != "s3cret" {
		t.Errorf("problems %v", said)
	}
	for _, path := range []string{folder, "/dev/zero", filepath.Join(folder, "missing")} {
		_, said := Check(fmt.Sprintf(`{"bitbucketServer": [{"url": "https://b.example.com", "token": "file:%s"}]}`, path), CheckOptions{})
		if !said.HasErrors() {
			t.Errorf("%s is accepted as a secret", path)
		}
	}
}

func TestManyProblemsAreBounded(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString(`{"appURL": 1`)
	for i := range 5 * maxProblems {
		fmt.Fprintf(&text, ",\n\"unknown%d\": 1", i)
	}
	text.WriteString("}")
	config, said := Check(text.String(), CheckOptions{})
	if config != nil || len(said) != maxProblems+1 || !said.HasErrors() {
		t.Errorf("%d problems, config %v", len(said), config)
	}
	if last := said[len(said)-1].Message; last != "there are 4001 more problems: mend these first" {
		t.Errorf("last problem: %s", last)
	}
}

func TestATextThatIsTooLongIsRefused(t *testing.T) {
	t.Parallel()
	_, said := Check(strings.Repeat(" ", MaxTextBytes+1), CheckOptions{})
	if want := "1:1 error: the text is longer than 1048576 bytes: no site configuration is"; said.Error() != want {
		t.Errorf("got %q, want %q", said.Error(), want)
	}
}

func TestKnownKeysAreNotTakenForSecrets(t *testing.T) {
	t.Parallel()
	secrets := map[string]bool{"token": true, "password": true, "privateKey": true, "passphrase": true, "secret": true}
	var walk func(f field)
	walk = func(f field) {
		for _, child := range f.fields {
			if child.ignored == "" && isSecretName(child.name) != secrets[child.name] {
				t.Errorf("isSecretName(%q) is %v", child.name, !secrets[child.name])
			}
			walk(child)
		}
		if f.items != nil {
			walk(*f.items)
		}
	}
	walk(site)
	for _, name := range []string{"Token", "tokn", "tokne", "pasword", "clientSecret", "licenseKey", "private_key", "passPhrase", "accessTokens"} {
		if !isSecretName(name) {
			t.Errorf("isSecretName(%q) is false", name)
		}
	}
}
