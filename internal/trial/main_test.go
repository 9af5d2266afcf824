package trial

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// built is the real program, as a release is built: not the test binary, so that its memory is
// its own, and a race detector does not slow it down.
var built string

func TestMain(m *testing.M) {
	ServeAsDouble()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	if built = os.Getenv(namespaceEnv); built != "" {
		return m.Run()
	}
	folder, err := os.MkdirTemp("", "signpost-trial-")
	if err == nil {
		defer func() { _ = os.RemoveAll(folder) }()
		built, err = Build(context.Background(), folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// engines are the values of gitEngine that every trial is made with.
var engines = []string{"go-git", "git"}

// setting returns a number from the environment: how hard a trial tries.
func setting(t *testing.T, name string, fallback int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		t.Fatalf("%s is %q, want a number", name, text)
	}
	return n
}

// seeded returns a source of random numbers whose seed is printed, and that SIGNPOST_TRIAL_SEED sets.
func seeded(t *testing.T, stream uint64) *rand.Rand {
	t.Helper()
	seed := uint64(setting(t, "SIGNPOST_TRIAL_SEED", int(rand.Uint32N(1<<31-1))+1))
	t.Logf("SIGNPOST_TRIAL_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, stream))
}

// newPlace returns where a test runs its processes.
func newPlace(t *testing.T) Place {
	t.Helper()
	double, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return Place{Dir: dir, Env: Environment(dir), Signpost: built, Double: double}
}

// startDouble starts a double that ends with the test, and its estate.
func startDouble(t *testing.T, place Place, args ...string) (*Double, *Estate) {
	t.Helper()
	double, err := place.StartDouble(filepath.Join(place.Dir, "bitbucket"), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = double.Stop(syscall.SIGTERM) })
	estate, err := NewEstate(double)
	if err != nil {
		t.Fatal(err)
	}
	return double, estate
}

// startServer starts signpost serve on a data folder; it ends with the test.
func startServer(t *testing.T, place Place, data string, args ...string) *Server {
	t.Helper()
	server, err := place.StartServer(append([]string{"--data", data}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(syscall.SIGTERM) })
	return server
}

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs signpost to its end and returns what it wrote to both outputs.
func (p Place) run(args ...string) (string, error) {
	out := new(Output)
	process, err := Start(p.Dir, p.Env, out, p.Signpost, args...)
	if err != nil {
		return "", err
	}
	err = process.Wait()
	return out.String() + process.Log.String(), err
}
