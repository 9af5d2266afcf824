package trial

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// standing is a server with a few mirrors that are up to date.
type standing struct {
	Place
	double   *Double
	estate   *Estate
	server   *Server
	config   Config
	data     string
	relisted int
}

// stand starts a double and a server, and waits until so many repositories are mirrored.
func stand(t *testing.T, engine string, repositories int) *standing {
	t.Helper()
	s := &standing{Place: newPlace(t)}
	s.data = filepath.Join(s.Dir, "data")
	s.double, s.estate = startDouble(t, s.Place, "-options", `{"PageLimits":{"all":2}}`)
	random := seeded(t, 20)
	for n := range repositories {
		number, err := s.estate.Add(fmt.Sprintf("TRIAL/app%d", n), "", random, 50<<10)
		must(t, err)
		for range 15 { // so that there are branches and tags to lose
			must(t, s.estate.Disturb(number, random))
		}
	}
	s.server = startServer(t, s.Place, s.data)
	s.config = ConfigFor(s.double, engine)
	must(t, s.server.PutConfig(s.config))
	waitUntilCurrent(t, s.estate, s.data, s.server)
	return s
}

// relist changes the connection's entry, so that it is listed at once.
func (s *standing) relist(t *testing.T) {
	t.Helper()
	s.relisted++
	s.config.BitbucketServer[0].Exclude = []map[string]string{{"name": fmt.Sprintf("TRIAL/never-%d", s.relisted)}}
	must(t, s.server.PutConfig(s.config))
}

func (s *standing) page(h Holding) string {
	key, slug, _ := strings.Cut(h.Address, "/")
	return fmt.Sprintf("%s/projects/%s/repos/%s/browse/README.md", s.double.URL(), key, slug)
}

// checkNothingLost checks that every mirror has the refs that it had, and every repository its link.
func (s *standing) checkNothingLost(t *testing.T, when string) {
	t.Helper()
	behind, err := s.estate.Behind(s.data)
	must(t, err)
	for address, why := range behind {
		t.Errorf("%s: %s lost something: %s", when, address, why)
	}
	for _, h := range s.estate.Living() {
		link, err := s.server.Resolve(s.page(h))
		if err != nil || link.Repository == nil || link.Repository.ID != h.Number || !strings.HasPrefix(link.URL, s.config.PrimaryURL+"/") || link.Commit == "" {
			t.Errorf("%s: the link of %s: %+v, %v", when, h.Address, link, err)
		}
	}
}

// TestBrokenFronts puts what stands before real Bitbuckets, and is no Bitbucket, in front of
// git and of REST. Fetches and listings take place meanwhile, and nothing is lost: git fetch
// --prune alone would delete every ref behind most of these, and end with 0.
func TestBrokenFronts(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			s := stand(t, engine, 3)
			html := map[string]string{"Content-Type": "text/html"}
			for _, front := range []struct {
				name  string
				fault bitbuckettest.Fault
			}{
				{"a login page for git", bitbuckettest.Fault{Kind: bitbuckettest.KindGit, Effect: bitbuckettest.EffectLoginPage}},
				{"a login page on one line for git", bitbuckettest.Fault{Kind: bitbuckettest.KindGit, Status: 200, Body: "<html>Log in</html>", Header: html}},
				{"a redirect to a login page for git", bitbuckettest.Fault{Kind: bitbuckettest.KindGit, Effect: bitbuckettest.EffectRedirect}},
				{"an empty answer for git", bitbuckettest.Fault{Kind: bitbuckettest.KindGit, Status: 200}},
				{"an empty advertisement", EmptyAdvertisement()},
				{"a proxy's error page for git", ProxyErrorPage(bitbuckettest.KindGit, 502)},
				{"a proxy's error page with status 200 for git", ProxyErrorPage(bitbuckettest.KindGit, 200)},
				{"advertisements that are cut", bitbuckettest.Fault{Kind: bitbuckettest.KindGit, Method: http.MethodGet, Effect: bitbuckettest.EffectCut, After: 400}},
				{"a login page for REST", bitbuckettest.Fault{Kind: bitbuckettest.KindREST, Effect: bitbuckettest.EffectLoginPage}},
				{"a login page that calls itself JSON for REST", bitbuckettest.Fault{Kind: bitbuckettest.KindREST, Effect: bitbuckettest.EffectWrongType}},
				{"a proxy's error page for REST", ProxyErrorPage(bitbuckettest.KindREST, 502)},
				{"a proxy's error page with status 200 for REST", ProxyErrorPage(bitbuckettest.KindREST, 200)},
				{"empty listings", bitbuckettest.Fault{Kind: bitbuckettest.KindREST, Effect: bitbuckettest.EffectEmptyPage}},
				{"listings that end before their end", bitbuckettest.Fault{Kind: bitbuckettest.KindREST, Query: "start=2", Effect: bitbuckettest.EffectEmptyPage}},
				{"a token that has expired, with 200", bitbuckettest.Fault{Kind: bitbuckettest.KindREST, Effect: bitbuckettest.EffectAnonymous}},
				{"a proxy's error page for all", ProxyErrorPage("", 503)},
			} {
				s.throughFront(t, front.name, front.fault)
			}
			// A push while nothing is wrong any more gets through.
			random := seeded(t, 21)
			for _, h := range s.estate.Living() {
				must(t, s.estate.Disturb(h.Number, random))
			}
			s.restart(t)
			s.relist(t)
			s.syncAll(t)
			waitUntilCurrent(t, s.estate, s.data, s.server)
			s.checkNothingLost(t, "at the end")
		})
	}
}

// throughFront lets a listing and fetches meet a fault.
func (s *standing) throughFront(t *testing.T, name string, fault bitbuckettest.Fault) {
	t.Helper()
	must(t, s.double.Control(http.MethodDelete, "requests", nil, nil))
	must(t, s.double.Fault(fault))
	s.relist(t)
	s.syncAll(t)
	// Both happened when the double was asked, and asks nothing any more.
	if err := Eventually(func() error {
		var asked []bitbuckettest.Request
		if err := s.double.Control(http.MethodGet, "requests", nil, &asked); err != nil {
			return GiveUp(err)
		}
		for _, request := range asked {
			if request.FaultIndex > 0 {
				return nil
			}
		}
		return fmt.Errorf("%s: nobody met it\n%s", name, s.server.Log)
	}); err != nil {
		t.Fatal(err)
	}
	s.checkNothingLost(t, name)
	if fault.Kind != bitbuckettest.KindGit && fault.Effect != bitbuckettest.EffectEmptyPage {
		must(t, s.double.ClearFaults())
		return // a pass would ask again and again for some seconds
	}
	// One pass in the foreground meets it everywhere, and to its end.
	must(t, s.server.Stop(syscall.SIGTERM))
	out, err := s.run("sync", "--data", s.data)
	if err == nil && (fault.Kind == bitbuckettest.KindGit || !strings.Contains(out, "missing")) {
		t.Errorf("%s: a pass finds nothing wrong:\n%s", name, out)
	}
	s.restart(t)
	s.checkNothingLost(t, name+", after a pass")
	must(t, s.double.ClearFaults())
}

// restart starts the server again.
func (s *standing) restart(t *testing.T) {
	t.Helper()
	_ = s.server.Stop(syscall.SIGTERM) // it may have been stopped
	s.server = startServer(t, s.Place, s.data)
}

func (s *standing) syncAll(t *testing.T) {
	t.Helper()
	for _, h := range s.estate.Living() {
		if err := s.server.Sync(h.Number); err != nil {
			t.Errorf("ask for a fetch of %s: %v", h.Address, err)
		}
	}
}

// TestAServerThatNeverAnswers takes connections and answers nothing, first REST and then git. Links
// and the API go on, other connections too, and SIGTERM does not wait for it.
func TestAServerThatNeverAnswers(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		for _, kind := range []bitbuckettest.Kind{bitbuckettest.KindREST, bitbuckettest.KindGit} {
			t.Run(engine+" "+string(kind), func(t *testing.T) {
				t.Parallel()
				s := stand(t, engine, 2)
				must(t, s.double.Fault(bitbuckettest.Fault{Kind: kind, Effect: bitbuckettest.EffectHang}))
				s.relist(t)
				s.syncAll(t)
				if err := Eventually(func() error {
					running, err := s.double.Running()
					if err == nil && running[kind] == 0 {
						err = fmt.Errorf("nothing hangs: %v\n%s", running, s.server.Log)
					}
					return err
				}); err != nil {
					t.Fatal(err)
				}
				var slowest atomic.Int64
				for range 50 {
					begun := time.Now()
					s.checkNothingLost(t, "while it hangs")
					slowest.Store(max(slowest.Load(), int64(time.Since(begun))))
				}
				if took := time.Duration(slowest.Load()); took > 10*time.Second {
					t.Errorf("links took %s while Bitbucket hung", took)
				}
				if response, body, err := Call(http.MethodGet, s.server.URL+"/readyz", "", nil); err != nil || response.StatusCode != http.StatusOK {
					t.Errorf("readyz: %v %s", err, body)
				}

				// Another connection is listed and cloned.
				other, estate := startOther(t, s)
				second := ConfigFor(other, engine).BitbucketServer[0]
				second.Name = "other"
				s.config.BitbucketServer = append(s.config.BitbucketServer, second)
				must(t, s.server.PutConfig(s.config))
				page := other.URL() + "/projects/TRIAL/repos/elsewhere/browse/README.md"
				if err := Eventually(func() error {
					link, err := s.server.Resolve(page)
					if err == nil && link.Commit == "" {
						err = fmt.Errorf("not mirrored yet: %+v", link)
					}
					return err
				}); err != nil {
					t.Errorf("another connection, with %d repositories: %v\n%s", len(estate.Living()), err, s.server.Log)
				}

				begun := time.Now()
				if err := s.server.Stop(syscall.SIGTERM); err != nil {
					t.Errorf("SIGTERM: %v\n%s", err, s.server.Log)
				}
				if took := time.Since(begun); took > 15*time.Second {
					t.Errorf("it took %s to stop while Bitbucket hung", took)
				}
				checkMirrors(t, s.data)
			})
		}
	}
}

// startOther starts a second double with one repository.
func startOther(t *testing.T, s *standing) (*Double, *Estate) {
	t.Helper()
	other, err := s.StartDouble(filepath.Join(s.Dir, "other"))
	must(t, err)
	t.Cleanup(func() { _ = other.Stop(syscall.SIGTERM) })
	estate, err := NewEstate(other)
	must(t, err)
	_, err = estate.Add("TRIAL/elsewhere", "", seeded(t, 22), 1000)
	must(t, err)
	return other, estate
}

// TestTwoSyncsAtOnce asks for many fetches of one repository at once, and for a pass beside the
// server: the one is done once or twice, the other is told who has the data folder.
func TestTwoSyncsAtOnce(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			s := stand(t, engine, 1)
			h := s.estate.Living()[0]
			must(t, s.double.Fault(bitbuckettest.Fault{Kind: bitbuckettest.KindGit, Delay: 100 * time.Millisecond}))
			must(t, s.estate.Disturb(h.Number, seeded(t, 23)))
			asked := make(chan error, 8)
			for range cap(asked) {
				go func() { asked <- s.server.Sync(h.Number) }()
			}
			for range cap(asked) {
				if err := <-asked; err != nil {
					t.Error(err)
				}
			}
			out, err := s.run("sync", "--data", s.data)
			if err == nil || !strings.Contains(out, "is in use") || !strings.Contains(out, fmt.Sprintf("process %d", s.server.PID())) {
				t.Errorf("a pass beside the server: %v\n%s", err, out)
			}
			waitUntilCurrent(t, s.estate, s.data, s.server)
			must(t, s.server.Stop(syscall.SIGTERM))

			// Two passes at once: one works, the other says so, or comes after it.
			first, err := Start(s.Dir, s.Env, io.Discard, s.Signpost, "sync", "--data", s.data)
			must(t, err)
			out, err = s.run("sync", "--data", s.data)
			if err != nil && !strings.Contains(out, "is in use") {
				t.Errorf("the second of two passes: %v\n%s", err, out)
			}
			firstErr := first.Wait()
			if firstErr != nil && (err != nil || !strings.Contains(first.Log.String(), "is in use")) {
				t.Errorf("two passes at once: %v and %v\n%s", firstErr, err, first.Log)
			}
			checkMirrors(t, s.data)
		})
	}
}

// TestALargeBlob mirrors a repository that is one large blob, and bounds the memory that the server
// and its children take. SIGNPOST_TRIAL_BLOB_MIB says how large.
func TestALargeBlob(t *testing.T) {
	t.Parallel()
	size := setting(t, "SIGNPOST_TRIAL_BLOB_MIB", 30)
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			s := stand(t, engine, 1)
			number, err := s.estate.AddBlob("TRIAL/large", seeded(t, 24), size<<20)
			must(t, err)
			watched := make(chan int64)
			stop := make(chan struct{})
			go func() { watched <- s.watchMemory(stop) }()
			s.relist(t)
			waitUntilCurrent(t, s.estate, s.data, s.server)
			close(stop)
			peak := <-watched
			t.Logf("repository %d with a blob of %d MiB: at most %d MiB of memory", number, size, peak>>20)
			// The program alone takes some 60 MiB; go-git 5 to 6 times a blob.
			if bound := int64(200+6*size) << 20; peak > bound || peak > 2<<30 {
				t.Errorf("%d MiB of memory, want at most %d and 2048", peak>>20, bound>>20)
			}
			checkMirrors(t, s.data)
		})
	}
}

// watchMemory returns the most that the server and its children took together at a moment, or
// the server alone at any time.
func (s *standing) watchMemory(stop <-chan struct{}) (peak int64) {
	for {
		now := StatusOf(s.server.PID(), "VmRSS")
		for _, child := range Children(s.server.PID()) {
			now += StatusOf(child, "VmRSS")
		}
		peak = max(peak, now, StatusOf(s.server.PID(), "VmHWM"))
		select {
		case <-stop:
			return peak
		case <-time.After(20 * time.Millisecond): // between two looks at other processes
		}
	}
}
