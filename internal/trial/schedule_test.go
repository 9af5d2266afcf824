package trial

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// worldsPerEngine is how many servers go through the schedules at once: most of the time goes by
// in waits of the client for a Bitbucket that fails.
const worldsPerEngine = 3

// TestRandomSchedulesOfFaults lets listings, fetches and lookups meet faults at random, while
// repositories come, go, move and become invisible. No repository that is there and visible ever
// loses its link or its mirror, no link leads to another repository, and after the faults one pass brings
// all up to date. SIGNPOST_TRIAL_FAULTS says how many schedules, over both engines.
func TestRandomSchedulesOfFaults(t *testing.T) {
	t.Parallel()
	schedules := setting(t, "SIGNPOST_TRIAL_FAULTS", 40)
	worlds := worldsPerEngine * len(engines)
	for i := range worlds {
		engine := engines[i%len(engines)]
		t.Run(fmt.Sprintf("%s %d", engine, i/len(engines)), func(t *testing.T) {
			t.Parallel()
			w := newFaultWorld(t, engine, seeded(t, uint64(100+i)))
			for n := range (schedules + i) / worlds {
				if w.schedule(t, n); t.Failed() {
					return
				}
			}
			t.Logf("%d requests met faults, %d links were looked at", w.met, w.links)
			if w.met == 0 {
				t.Error("no request met a fault")
			}
		})
	}
}

// faultWorld is a server that lives through schedules of faults.
type faultWorld struct {
	Place
	engine string
	random *rand.Rand
	double *Double
	estate *Estate
	server *Server
	config Config
	data   string

	slugs     int
	known     map[int64]string // repositories that the last pass found → their addresses then
	hidden    map[int64]bool   // repositories that the account may not read now
	positions map[int64]int
	links     int
	met       int // requests that met a fault
}

func newFaultWorld(t *testing.T, engine string, random *rand.Rand) *faultWorld {
	t.Helper()
	w := &faultWorld{
		Place: newPlace(t), engine: engine, random: random,
		known: map[int64]string{}, hidden: map[int64]bool{}, positions: map[int64]int{},
	}
	w.data = filepath.Join(w.Dir, "data")
	w.double, w.estate = startDouble(t, w.Place, "-options", `{"PageLimits":{"all":3}}`)
	must(t, w.estate.AddProject("OTHER"))
	// Not an administrator: permission can be lost.
	bot := bitbuckettest.Credentials{Username: "bot", Token: "BBDC-bot-of-the-trial"}
	must(t, w.double.Control(http.MethodPost, "user", bitbuckettest.User{Name: bot.Username, DisplayName: "Bot", Password: "of the bot", Tokens: []string{bot.Token}}, nil))
	for range 8 {
		_, err := w.estate.Add(w.address("TRIAL"), "", random, 5<<10)
		must(t, err)
	}
	// What anybody sees: with an expired token the list is short, and not empty.
	for range 2 {
		address := w.address("OTHER")
		_, err := w.estate.Add(address, "", random, 1000)
		must(t, err)
		must(t, w.double.Control(http.MethodPost, "change", map[string]any{"repository": address, "public": true}, nil))
	}
	w.config = ConfigFor(w.double, engine)
	w.config.BitbucketServer[0] = w.config.BitbucketServer[0].As(bot)
	w.server = startServer(t, w.Place, w.data)
	must(t, w.server.PutConfig(w.config))
	waitUntilCurrent(t, w.estate, w.data, w.server)
	w.remember()
	return w
}

func (w *faultWorld) address(project string) string {
	w.slugs++
	return fmt.Sprintf("%s/repository-%d", project, w.slugs)
}

// remember notes what a pass that has ended well found.
func (w *faultWorld) remember() {
	w.known = map[int64]string{}
	for _, h := range w.estate.Living() {
		if !w.hidden[h.Number] {
			w.known[h.Number] = h.Address
		}
	}
}

// schedule makes some faults and changes one after another, looks at everything all the time, and
// ends with a pass without faults.
func (w *faultWorld) schedule(t *testing.T, n int) {
	t.Helper()
	what := []string{}
	for range 1 + w.random.IntN(3) {
		fault := RandomFault(w.random)
		if w.random.IntN(5) == 0 { // a list that ends before its end, and is otherwise in order
			fault = bitbuckettest.Fault{
				Kind: bitbuckettest.KindREST, Path: "/rest/api/1.0/", Effect: bitbuckettest.EffectEmptyPage,
				Query: []string{"", "start=3", "start=6"}[w.random.IntN(3)],
			}
		}
		what = append(what, fmt.Sprintf("%+v", fault))
		must(t, w.double.Fault(fault))
		if w.random.IntN(2) == 0 {
			what = append(what, w.change(t))
		}
		w.config.PrimaryURL = fmt.Sprintf("https://sg-%d.example.com", w.random.IntN(1000))
		w.config.BitbucketServer[0].Exclude = []map[string]string{{"name": fmt.Sprintf("TRIAL/never-%d", w.random.IntN(1e9))}}
		must(t, w.server.PutConfig(w.config)) // which is listed at once
		for number := range w.known {
			_ = w.server.Sync(number) // it may be gone
		}
		w.look(t, time.Duration(300+w.random.IntN(1200))*time.Millisecond)
		if w.random.IntN(3) == 0 {
			must(t, w.double.ClearFaults())
		}
	}
	must(t, w.double.ClearFaults())
	var requests []bitbuckettest.Request
	must(t, w.double.Control(http.MethodGet, "requests", nil, &requests))
	must(t, w.double.Control(http.MethodDelete, "requests", nil, nil))
	for _, request := range requests {
		if request.FaultIndex > 0 {
			w.met++
		}
	}
	begun := time.Now()
	must(t, w.server.Stop(syscall.SIGTERM))
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("schedule %d: it took %s to stop", n, took)
	}
	if strings.Contains(w.server.Log.String(), "panic") {
		t.Errorf("schedule %d: the server panicked", n)
	}
	out, err := w.run("sync", "--data", w.data)
	if err != nil {
		t.Errorf("schedule %d: the pass at the end: %v\n%s", n, err, out)
	}
	behind, err := w.estate.Behind(w.data)
	must(t, err)
	for _, h := range w.estate.Living() {
		if why, ok := behind[h.Address]; ok && !w.hidden[h.Number] {
			t.Errorf("schedule %d: %s is behind after a pass: %s", n, h.Address, why)
		}
	}
	w.remember()
	log := w.server.Log.String()
	if !t.Failed() {
		w.server = startServer(t, w.Place, w.data)
		w.look(t, 0)
		for number, address := range w.known {
			if link, err := w.server.Resolve(w.page(address)); err != nil || link.Repository.ID != number || link.Commit == "" {
				t.Errorf("schedule %d: after a pass: %s: %+v, %v", n, address, link, err)
			}
		}
	}
	if t.Failed() {
		t.Logf("schedule %d:\n%s\n%s", n, strings.Join(what, "\n"), log)
	}
}

func (w *faultWorld) page(address string) string {
	key, slug, _ := strings.Cut(address, "/")
	return fmt.Sprintf("%s/projects/%s/repos/%s/browse/README.md", w.double.URL(), key, slug)
}

// change changes something on Bitbucket, and says what.
func (w *faultWorld) change(t *testing.T) string {
	t.Helper()
	h, ok := w.estate.Pick(w.random)
	if !ok {
		t.Fatal("no repository is left")
	}
	switch living := len(w.estate.Living()); {
	case living < 6 || w.random.IntN(6) == 0:
		address := w.address("TRIAL")
		_, err := w.estate.Add(address, "", w.random, 3000)
		must(t, err)
		return "new: " + address
	case w.random.IntN(4) == 0:
		to := w.address([]string{"TRIAL", "OTHER"}[w.random.IntN(2)])
		must(t, w.estate.Rename(h.Number, to))
		return "renamed: " + h.Address + " to " + to
	case w.random.IntN(5) == 0:
		must(t, w.estate.Delete(h.Number))
		delete(w.known, h.Number)
		return "deleted: " + h.Address
	case w.random.IntN(4) == 0:
		readers := []string{"somebody"}
		if w.hidden[h.Number] {
			readers = nil
		}
		must(t, w.double.Control(http.MethodPost, "readers", map[string]any{"of": h.Address, "readers": readers}, nil))
		if w.hidden[h.Number] = readers != nil; w.hidden[h.Number] {
			delete(w.known, h.Number)
		}
		return fmt.Sprintf("readers of %s: %v", h.Address, readers)
	default:
		must(t, w.estate.Disturb(h.Number, w.random))
		return "pushed: " + h.Address
	}
}

// look checks for some time that everything that is known and visible has its link, its own, and
// that no mirror is gone or has what Bitbucket never had.
func (w *faultWorld) look(t *testing.T, long time.Duration) {
	t.Helper()
	for end := time.Now().Add(long); ; {
		for number, address := range w.known {
			link, err := w.server.Resolve(w.page(address))
			problem, _ := errors.AsType[*Problem](err)
			switch {
			case problem != nil && (problem.Status == http.StatusBadGateway || problem.Status == http.StatusGatewayTimeout):
				continue // an address that moved can need Bitbucket
			case err != nil:
				t.Errorf("%s (%d) is there and visible, and has no link: %v", address, number, err)
			case !strings.HasPrefix(link.URL, w.config.PrimaryURL+"/"):
				t.Errorf("%s got %s, which is not on %s", address, link.URL, w.config.PrimaryURL)
			case link.Repository == nil || link.Repository.ID != number:
				t.Errorf("%s (%d) got the link of another repository: %+v", address, number, link)
			}
			w.links++
		}
		mirrors, err := Mirrors(w.data)
		must(t, err)
		for number, folder := range mirrors {
			refs, err := ReadRefs(folder)
			position, ok := w.estate.Position(number, refs)
			if err != nil || !ok || position < w.positions[number] {
				t.Errorf("the mirror of %d has refs that Bitbucket never had, or older ones than before: %v\n%s", number, err, refs)
			}
			w.positions[number] = position
		}
		for number := range w.positions {
			if _, ok := mirrors[number]; !ok {
				t.Errorf("the mirror of %d is gone", number)
			}
		}
		if t.Failed() || time.Now().After(end) {
			return
		}
	}
}
