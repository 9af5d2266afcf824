package main

import (
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/trial"
)

const sshCanary = "canary-passphrase-of-the-key-9c40"

// sshWorld is a server that mirrors the repositories of a double by git over SSH.
type sshWorld struct {
	*trial.Server
	double *trial.Double
	estate *trial.Estate
	data   string
	config trial.Config
	public string // the key of the account, as a line of authorized_keys
	random *rand.Rand
}

func startSSHWorld(t *testing.T, engine string) *sshWorld {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	place := trial.Place{Dir: dir, Env: ownEnvironment(dir)}
	double, err := program("bitbucket-double")
	must(err)
	place.Double = []string{double}
	place.Signpost, err = program("signpost")
	must(err)

	w := &sshWorld{data: filepath.Join(dir, "data"), random: rand.New(rand.NewPCG(1, 2))}
	w.double, err = place.StartDouble(filepath.Join(dir, "bitbucket"), "-options", `{"SSH": true}`)
	must(err)
	t.Cleanup(func() { _ = w.double.Stop(interrupt) })
	w.estate, err = trial.NewEstate(w.double)
	must(err)
	for n := range 4 {
		_, err := w.estate.Add(fmt.Sprintf("TRIAL/repo%d", n), "", w.random, 200<<10)
		must(err)
	}

	public, private, err := ed25519.GenerateKey(nil)
	must(err)
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(sshCanary))
	must(err)
	key, err := ssh.NewPublicKey(public)
	must(err)
	w.public = string(ssh.MarshalAuthorizedKey(key))
	must(w.accept(w.public))

	w.config = trial.ConfigFor(w.double, engine)
	w.connection().GitURLType = "ssh"
	w.connection().GitSSH = &trial.SSHCredential{
		PrivateKey: string(pem.EncodeToMemory(block)), Passphrase: sshCanary, KnownHosts: w.double.Ready.KnownHosts,
	}
	w.Server, err = place.StartServer("--data", w.data)
	must(err)
	t.Cleanup(func() { _ = w.Stop(interrupt) })
	must(w.PutConfig(w.config))
	return w
}

func (w *sshWorld) connection() *trial.Connection { return &w.config.BitbucketServer[0] }

// accept makes keys those of the account.
func (w *sshWorld) accept(keys ...string) error {
	return w.double.Control(http.MethodPost, "ssh-keys", map[string]any{"user": w.double.Admin().Username, "keys": keys}, nil)
}

// pushAndAsk pushes to every repository and asks the server to fetch them.
func (w *sshWorld) pushAndAsk(t *testing.T) {
	t.Helper()
	for _, h := range w.estate.Living() {
		if err := errors.Join(w.estate.Disturb(h.Number, w.random), w.Sync(h.Number)); err != nil {
			t.Fatal(err)
		}
	}
}

// waitUntilCurrent waits until each mirror has what Bitbucket has, and checks that it is whole.
func (w *sshWorld) waitUntilCurrent(t *testing.T) {
	t.Helper()
	if err := eventually(func() error {
		behind, err := w.estate.Behind(w.data)
		if err == nil && len(behind) > 0 {
			err = fmt.Errorf("not up to date: %v\n%s", behind, w.Log)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	mirrors, err := trial.Mirrors(w.data)
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range mirrors {
		if err := trial.Fsck(t.Context(), folder); err != nil {
			t.Error(err)
		}
	}
}

// waitForErrors waits until so many repositories say what is wrong with them, and returns what one of them says.
func (w *sshWorld) waitForErrors(t *testing.T, want string, atLeast int) (says string) {
	t.Helper()
	err := eventually(func() error {
		var page struct {
			Repositories []struct{ Mirror struct{ Error string } }
		}
		if err := w.ask("/api/v1/repositories", &page); err != nil {
			return err
		}
		found := 0
		for _, r := range page.Repositories {
			if strings.Contains(r.Mirror.Error, want) {
				says = r.Mirror.Error
				found++
			}
		}
		if found < atLeast {
			return fmt.Errorf("%d repositories say %q, want %d: %+v", found, want, atLeast, page)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return says
}

// ask reads an answer of the API.
func (w *sshWorld) ask(path string, into any) error {
	response, body, err := call(http.MethodGet, w.URL+path, "", admin())
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d %s", path, response.StatusCode, body)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(body), into)
}

// nothingCame checks that no mirror has what was pushed last.
func (w *sshWorld) nothingCame(t *testing.T) {
	t.Helper()
	behind, err := w.estate.Behind(w.data)
	if want := len(w.estate.Living()); err != nil || len(behind) != want {
		t.Errorf("%d mirrors lack what was pushed (%v), want all %d", len(behind), err, want)
	}
}

// requests returns what came to the double by git since a moment: sessions over SSH, clients that were turned
// away or turned away themselves before, and requests over HTTP.
func (w *sshWorld) requests(t *testing.T, since time.Time) (sessions, refused, overHTTP int) {
	t.Helper()
	all, err := w.double.Requests()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		switch {
		case r.Time.Before(since):
		case r.Kind == bitbuckettest.KindGit:
			overHTTP++
		case r.Kind == bitbuckettest.KindSSH && r.Authenticated:
			sessions++
		case r.Kind == bitbuckettest.KindSSH:
			refused++
		}
	}
	return sessions, refused, overHTTP
}

// TestMirrorsOverSSH lets the real program mirror over SSH, with a key that has a passphrase: the first mirrors, pushes,
// hosts that nobody vouches for and a key that is refused.
func TestMirrorsOverSSH(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"go-git", "git"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := startSSHWorld(t, engine)
			w.waitUntilCurrent(t)
			w.pushAndAsk(t)
			w.waitUntilCurrent(t)
			if sessions, refused, overHTTP := w.requests(t, time.Time{}); sessions == 0 || refused > 0 || overHTTP > 0 {
				t.Errorf("%d sessions, %d refused clients, %d requests by HTTP", sessions, refused, overHTTP)
			}
			w.hostsThatNobodyVouchesFor(t)
			w.aKeyThatIsRefused(t)
			if err := w.Stop(interrupt); err != nil { // before the look: a fetch makes and removes files
				t.Errorf("SIGTERM: %v\n%s", err, w.Log)
			}
			checkDataFolder(t, w.data, w.Log.String(), sshCanary, w.connection().GitSSH.PrivateKey)
		})
	}
}

// hostsThatNobodyVouchesFor: nothing is fetched from an unknown host, nor from one with another key; what is said has
// the line that mends it, if somebody vouches for that.
func (w *sshWorld) hostsThatNobodyVouchesFor(t *testing.T) {
	t.Helper()
	known := strings.TrimSpace(w.connection().GitSSH.KnownHosts)
	host, _, _ := strings.Cut(known, " ")
	for _, c := range []struct{ knownHosts, want string }{
		{"elsewhere.example.com " + w.public, "add this line to knownHosts of gitSSHCredential: " + known + ")"},
		{host + " " + w.public, "shows another key than knownHosts has"},
	} {
		w.connection().GitSSH.KnownHosts = c.knownHosts
		if err := w.PutConfig(w.config); err != nil {
			t.Fatal(err)
		}
		w.pushAndAsk(t)
		w.waitForErrors(t, c.want, len(w.estate.Living()))
		w.nothingCame(t)
		w.connection().GitSSH.KnownHosts = known
		if err := w.PutConfig(w.config); err != nil {
			t.Fatal(err)
		}
		w.pushAndAsk(t) // else those that failed wait for their next fetch
		w.waitUntilCurrent(t)
	}
}

// aKeyThatIsRefused is not shown again for a while, whatever is asked for, and the mirrors stay as they are; a new
// entry of the configuration tries it anew.
func (w *sshWorld) aKeyThatIsRefused(t *testing.T) {
	t.Helper()
	if err := w.accept(); err != nil {
		t.Fatal(err)
	}
	w.pushAndAsk(t)
	w.waitForErrors(t, "Bitbucket refused the SSH key", 1)
	// Those that were under way beside the first one have ended when the next list says what is wrong, and those that
	// are asked for now have had the time to begin.
	w.waitForProblem(t, "and is tried again at")
	begun := time.Now()
	w.pushAndAsk(t)
	w.waitUntilPostponed(t)
	if sessions, refused, overHTTP := w.requests(t, begun); sessions+refused+overHTTP > 0 {
		t.Errorf("%d sessions, the key was refused another %d times, %d requests by HTTP", sessions, refused, overHTTP)
	}
	w.nothingCame(t)
	w.connection().Exclude = []map[string]string{{"name": "TRIAL/never"}}
	if err := errors.Join(w.accept(w.public), w.PutConfig(w.config)); err != nil {
		t.Fatal(err)
	}
	w.pushAndAsk(t)
	w.waitUntilCurrent(t)
}

// waitUntilPostponed waits until every repository is due: one that was asked for and could not be tried is.
func (w *sshWorld) waitUntilPostponed(t *testing.T) {
	t.Helper()
	err := eventually(func() error {
		var page struct {
			Repositories []struct{ Mirror struct{ NextFetch time.Time } }
		}
		if err := w.ask("/api/v1/repositories", &page); err != nil {
			return err
		}
		for _, r := range page.Repositories {
			if r.Mirror.NextFetch.After(time.Now()) {
				return fmt.Errorf("not all are due: %+v", page)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// waitForProblem waits until the connection says what is wrong.
func (w *sshWorld) waitForProblem(t *testing.T, want string) {
	t.Helper()
	err := eventually(func() error {
		var list struct{ Connections []struct{ Problem string } }
		err := w.ask("/api/v1/connections", &list)
		if err == nil && (len(list.Connections) != 1 || !strings.Contains(list.Connections[0].Problem, want)) {
			err = fmt.Errorf("the connections say %+v, want %q", list, want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
