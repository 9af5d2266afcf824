package trial

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // opens the database of a server that was killed

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// TestKilledAtRandomMoments kills the program again and again, at random moments of its start, of
// saving a configuration, of listing, cloning, fetching and repacking, while Bitbucket changes. Whenever
// it strikes, what the next start finds is whole, no mirror is older than it was, and one
// pass brings all up to date. SIGNPOST_TRIAL_KILLS says how often, over both engines. Most kills wait until
// what they are to meet is under way, and strike some random time after that.
func TestKilledAtRandomMoments(t *testing.T) {
	t.Parallel()
	kills := setting(t, "SIGNPOST_TRIAL_KILLS", 50)
	for i, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			newKiller(t, engine, seeded(t, uint64(i))).run(t, (kills+i)/len(engines))
		})
	}
}

// killer kills one program again and again.
type killer struct {
	Place
	engine string
	random *rand.Rand
	double *Double
	estate *Estate
	data   string

	positions map[int64]int    // the state that each mirror had when last looked at
	seen      map[string]int64 // what each mirror's folder looked like when fsck passed
	hits      map[string]int   // what was under way when it was killed, how often; seen from outside
}

// What a kill may be to meet. The last three are also how the program calls what it prepares in tmp, and a
// killed program leaves there: "gitmirror-repack-123".
const (
	aimNone    = "anything"
	aimListing = "listing"
	aimClone   = "clone"
	aimFetch   = "fetch"
	aimRepack  = "repack"
)

// aims are what the kills are to meet, in turn, and how long it may be under way by then.
var aims = []struct {
	what  string
	delay time.Duration
}{
	{aimNone, 1500 * time.Millisecond},
	{aimListing, 150 * time.Millisecond},
	{aimClone, 300 * time.Millisecond},
	{aimFetch, 50 * time.Millisecond},
	{aimRepack, 30 * time.Millisecond},
	{aimRepack, 5 * time.Millisecond},
}

func newKiller(t *testing.T, engine string, random *rand.Rand) *killer {
	t.Helper()
	k := &killer{
		Place: newPlace(t), engine: engine, random: random,
		positions: map[int64]int{}, seen: map[string]int64{}, hits: map[string]int{},
	}
	k.data = filepath.Join(k.Dir, "data")
	k.double, k.estate = startDouble(t, k.Place)
	if _, err := k.estate.Add("TRIAL/base", "", random, 3<<20); err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		_, err := k.estate.Add(fmt.Sprintf("TRIAL/small%d", n), "", random, 200<<10)
		must(t, err)
	}
	server := startServer(t, k.Place, k.data)
	must(t, server.PutConfig(ConfigFor(k.double, engine)))
	waitUntilCurrent(t, k.estate, k.data, server)
	must(t, server.Stop(syscall.SIGTERM))
	return k
}

func (k *killer) run(t *testing.T, kills int) {
	t.Helper()
	stop, pushers := make(chan struct{}), new(sync.WaitGroup)
	pusher := rand.New(rand.NewPCG(k.random.Uint64(), 1))
	pushers.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(pusher.IntN(150)) * time.Millisecond):
			}
			// The base stays as it is: forks are made of it.
			if h, ok := k.estate.Pick(pusher); ok && h.Address != "TRIAL/base" {
				if err := k.estate.Disturb(h.Number, pusher); err != nil {
					t.Errorf("push: %v", err)
					return
				}
			}
		}
	})
	for n := range kills {
		if _, err := k.estate.Add(fmt.Sprintf("TRIAL/fork%d", n), "TRIAL/base", k.random, 0); err != nil {
			t.Fatal(err)
		}
		k.kill(t, n)
		k.check(t, n)
		if t.Failed() {
			break
		}
	}
	close(stop)
	pushers.Wait()
	t.Logf("%s: killed %d times, and met %v", k.engine, kills, k.hits)
	if t.Failed() {
		return
	}
	k.finish(t)
	for _, what := range []string{aimListing, aimClone, aimFetch, aimRepack} {
		if k.hits[what] == 0 && kills >= 20 {
			t.Errorf("no kill of %d met a %s: %v", kills, what, k.hits)
		}
	}
}

// kill starts the program, as a server or for one pass, on a fast or a slow line, and kills it.
func (k *killer) kill(t *testing.T, n int) {
	t.Helper()
	aim := aims[n%len(aims)]
	must(t, k.double.ClearFaults())
	rest := bitbuckettest.Fault{Kind: bitbuckettest.KindREST, Delay: 250 * time.Millisecond}
	git := bitbuckettest.Fault{
		Kind: bitbuckettest.KindGit, Effect: bitbuckettest.EffectTrickle, Delay: time.Duration(1+k.random.IntN(3)) * time.Millisecond,
	}
	switch slow := k.random.IntN(4); {
	case aim.what == aimRepack:
		k.crowd(t)
	case aim.what == aimListing, aim.what == aimNone && slow == 1:
		must(t, k.double.Fault(rest))
	case aim.what != aimNone, slow > 1:
		must(t, k.double.Fault(git))
	}
	env := append(slices.Clip(k.Env), "SIGNPOST_ADMIN_TOKEN="+AdminToken, "SIGNPOST_LOG_FORMAT=json")
	args := []string{"sync", "--data", k.data}
	serve := k.random.IntN(2) == 0
	if serve {
		args = []string{"serve", "--listen", "127.0.0.1:0", "--data", k.data}
	}
	p, err := Start(k.Dir, env, new(Output), k.Signpost, args...)
	must(t, err)
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		if !serve {
			return
		}
		// A changed entry is listed at once. What goes wrong here is that it was killed.
		s := &Server{Process: p}
		if s.WaitUntilServing() != nil {
			return
		}
		c := ConfigFor(k.double, k.engine)
		c.BitbucketServer[0].Exclude = []map[string]string{{"name": fmt.Sprintf("TRIAL/never-%d", n)}}
		_ = s.PutConfig(c)
		for _, h := range k.estate.Living() {
			_ = s.Sync(h.Number)
		}
	}()
	k.await(t, p, aim.what)
	select {
	case <-p.Ended(): // a pass that is done
	case <-time.After(time.Duration(k.random.Int64N(int64(aim.delay)))):
	}
	listing := k.lists(t)
	_ = p.Stop(syscall.SIGKILL) // the error says that it was killed
	<-asked
	if strings.Contains(p.Log.String(), "panic") {
		t.Errorf("kill %d: the program panicked:\n%s", n, p.Log)
	}
	if listing {
		k.hits[aimListing]++
	}
	for _, what := range []string{aimClone, aimFetch, aimRepack} {
		if k.prepares(what) {
			k.hits[what]++
		}
	}
}

// crowd gives some mirrors many packs and pushes to their repositories, so that a fetch makes them one.
func (k *killer) crowd(t *testing.T) {
	t.Helper()
	mirrors, err := Mirrors(k.data)
	must(t, err)
	living := k.estate.Living()
	k.random.Shuffle(len(living), func(i, j int) { living[i], living[j] = living[j], living[i] })
	const some, packs = 4, 24 // the program repacks at 20
	for crowded := 0; len(living) > 0 && crowded < some; living = living[1:] {
		h := living[0]
		if h.Address == "TRIAL/base" || mirrors[h.Number] == "" {
			continue
		}
		must(t, Crowd(t.Context(), mirrors[h.Number], packs))
		must(t, k.estate.Disturb(h.Number, k.random))
		crowded++
	}
}

// await waits until the program does something, or has ended, or does something else for too long.
func (k *killer) await(t *testing.T, p *Process, what string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for what != aimNone {
		if what == aimListing && k.lists(t) || what != aimListing && k.prepares(what) {
			return
		}
		select {
		case <-p.Ended():
			return
		case <-deadline:
			return
		case <-look.C:
		}
	}
}

// lists tells whether the double answers a list of repositories just now.
func (k *killer) lists(t *testing.T) bool {
	t.Helper()
	paths, err := k.double.Answering()
	must(t, err)
	return slices.ContainsFunc(paths, func(path string) bool { return strings.HasPrefix(path, "/rest/") && strings.HasSuffix(path, "/repos") })
}

// prepares tells whether something is prepared in tmp, or was when the program was killed.
func (k *killer) prepares(what string) bool {
	entries, err := os.ReadDir(filepath.Join(k.data, "tmp"))
	return err == nil && slices.ContainsFunc(entries, func(entry fs.DirEntry) bool { return strings.HasPrefix(entry.Name(), "gitmirror-"+what+"-") })
}

// check looks at what a start finds, and at what it leaves.
func (k *killer) check(t *testing.T, n int) {
	t.Helper()
	// Opens the data folder as a start does, and begins nothing.
	if out, err := k.Place.run("config", "show", "--data", k.data); err != nil || !strings.Contains(out, "sourcegraph.example.com") {
		t.Fatalf("kill %d: the data folder cannot be opened: %v\n%s", n, err, out)
	}
	left, err := os.ReadDir(filepath.Join(k.data, "tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("kill %d: left in tmp after a start: %v, %v", n, left, err)
	}
	if err := checkDatabase(t, filepath.Join(k.data, "signpost.db")); err != nil {
		t.Errorf("kill %d: the database: %v", n, err)
	}
	mirrors, err := Mirrors(k.data)
	must(t, err)
	for number, folder := range mirrors {
		refs, err := ReadRefs(folder)
		if err != nil {
			t.Errorf("kill %d: %v", n, err)
			continue
		}
		position, ok := k.estate.Position(number, refs)
		switch {
		case !ok:
			t.Errorf("kill %d: the mirror of %d has refs that Bitbucket never had:\n%s", n, number, refs)
		case position < k.positions[number]:
			t.Errorf("kill %d: the mirror of %d went back from state %d to %d:\n%s", n, number, k.positions[number], position, refs)
		}
		k.positions[number] = position
		looks := looksLike(folder)
		if k.seen[folder] == looks {
			continue
		}
		if err := Fsck(t.Context(), folder); err != nil {
			t.Errorf("kill %d: %v", n, err)
		}
		k.seen[folder] = looks
	}
	for number := range k.positions {
		if _, ok := mirrors[number]; !ok {
			t.Errorf("kill %d: the mirror of %d is gone", n, number)
		}
	}
}

// looksLike is a number that changes when anything in a folder does.
func looksLike(folder string) (sum int64) {
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error { // what cannot be read is found by fsck
		if err == nil {
			if info, err := entry.Info(); err == nil {
				sum = sum*31 + info.Size() + info.ModTime().UnixNano() + int64(len(path))
			}
		}
		return nil
	})
	return sum
}

// checkDatabase asks SQLite whether a database that nobody uses is whole.
func checkDatabase(t *testing.T, path string) error {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return err
	}
	var verdict string
	err = db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict)
	if err == nil && verdict != "ok" {
		err = errors.New(verdict)
	}
	return errors.Join(err, db.Close())
}

// finish lets a server find what it still has to clone, and then makes one pass: afterwards
// every mirror has what Bitbucket has.
func (k *killer) finish(t *testing.T) {
	t.Helper()
	must(t, k.double.ClearFaults())
	server := startServer(t, k.Place, k.data)
	must(t, server.PutConfig(ConfigFor(k.double, k.engine)))
	if err := Eventually(func() error {
		mirrors, err := Mirrors(k.data)
		if err != nil {
			return GiveUp(err)
		}
		for _, h := range k.estate.Living() {
			if mirrors[h.Number] == "" {
				return fmt.Errorf("%s has no mirror", h.Address)
			}
		}
		return nil
	}); err != nil {
		t.Errorf("a restarted server forgot a clone: %v\n%s", err, server.Log)
	}
	must(t, server.Stop(syscall.SIGTERM))
	if out, err := k.Place.run("sync", "--data", k.data); err != nil {
		t.Errorf("the pass at the end: %v\n%s", err, out)
	}
	behind, err := k.estate.Behind(k.data)
	must(t, err)
	for address, why := range behind {
		t.Errorf("%s is not up to date after a pass: %s", address, why)
	}
	k.check(t, -1)
}
