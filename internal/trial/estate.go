package trial

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// Estate is what a double holds, and all that it has held, as far as this program changed it.
// Each change moves one ref, so that no other state was ever visible. Safe for concurrent use.
type Estate struct {
	double *Double

	mu        sync.Mutex
	repos     map[int64]*Holding
	addresses map[string]map[int64]bool // lower case → numbers of all repositories that were ever there
	changes   int
}

// Holding is a repository of an Estate.
type Holding struct {
	Number  int64
	Address string // KEY/slug
	Deleted bool

	states   []Refs // all that it held, the newest last
	branches []string
}

// NewEstate returns the estate of a double with a project, TRIAL, and nothing in it.
func NewEstate(d *Double) (*Estate, error) {
	e := &Estate{double: d, repos: map[int64]*Holding{}, addresses: map[string]map[int64]bool{}}
	return e, e.AddProject("TRIAL")
}

// AddProject adds a project.
func (e *Estate) AddProject(key string) error {
	return e.double.Control(http.MethodPost, "project", bitbuckettest.Project{Key: key, Name: "Project " + key}, nil)
}

// Add adds a repository with random content of so many bytes, or, where origin is not "", a
// fork with what KEY/slug holds.
func (e *Estate) Add(address, origin string, random *rand.Rand, bytes int) (int64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key, slug, _ := strings.Cut(address, "/")
	description := bitbuckettest.Repository{Project: key, Slug: slug, Origin: origin}
	if origin == "" {
		files := map[string]bitbuckettest.File{"README.md": bitbuckettest.Text("Repository " + address + "\n")}
		for i := 0; i < bytes; i += 32 << 10 {
			files[fmt.Sprintf("folder%d/file%d.txt", i%7, i)] = bitbuckettest.Text(Noise(random, min(32<<10, bytes-i)))
		}
		description.History = &bitbuckettest.History{Commits: []bitbuckettest.Commit{{Files: files}}}
	}
	var made bitbuckettest.Repository
	if err := e.double.Control(http.MethodPost, "repository", description, &made); err != nil {
		return 0, err
	}
	// It is visible before it holds anything.
	h := &Holding{Number: made.ID, Address: address, branches: []string{"main"}, states: []Refs{""}}
	e.repos[made.ID] = h
	e.lives(h)
	return made.ID, e.note(h)
}

// AddBlob adds a repository with one commit that has one file of so many bytes. It is not sent
// through the control endpoints, which take no such thing.
func (e *Estate) AddBlob(address string, random *rand.Rand, bytes int) (int64, error) {
	number, err := e.Add(address, "", random, 1)
	if err != nil {
		return 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	script := fmt.Sprintf("commit refs/heads/large\ncommitter Jane <jane@example.com> 1577836800 +0000\ndata 5\nLarge\n"+
		"M 100644 inline large.bin\ndata %d\n", bytes)
	noise := make([]byte, 32)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	cmd := exec.Command("git", "--git-dir", e.double.Repository(number), "fast-import", "--quiet") //nolint:noctx // it ends with its input
	cmd.Env = Environment(os.TempDir())
	cmd.Stdin = io.MultiReader(strings.NewReader(script), io.LimitReader(rand.NewChaCha8([32]byte(noise)), int64(bytes)), strings.NewReader("\n"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("git fast-import: %w\n%s", err, out)
	}
	return number, e.note(e.repos[number])
}

// Noise returns so many bytes of text that cannot be compressed much.
func Noise(random *rand.Rand, bytes int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-\n"
	text := make([]byte, bytes)
	for i := range text {
		text[i] = letters[random.IntN(len(letters))]
	}
	return string(text)
}

// lives notes where a repository is. Called with mu held.
func (e *Estate) lives(h *Holding) {
	address := strings.ToLower(h.Address)
	if e.addresses[address] == nil {
		e.addresses[address] = map[int64]bool{}
	}
	e.addresses[address][h.Number] = true
}

// note remembers what a repository holds now. Called with mu held.
func (e *Estate) note(h *Holding) error {
	refs, err := ReadRefs(e.double.Repository(h.Number))
	if err == nil && (len(h.states) == 0 || h.states[len(h.states)-1] != refs) {
		h.states = append(h.states, refs)
	}
	return err
}

// Pick returns a repository that is there, or false if none is.
func (e *Estate) Pick(random *rand.Rand) (Holding, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	living := e.living()
	if len(living) == 0 {
		return Holding{}, false
	}
	return *living[random.IntN(len(living))], true
}

func (e *Estate) living() []*Holding {
	var living []*Holding
	for _, number := range slices.Sorted(maps.Keys(e.repos)) {
		if h := e.repos[number]; !h.Deleted {
			living = append(living, h)
		}
	}
	return living
}

// Living returns the repositories that are there, ordered by number.
func (e *Estate) Living() []Holding {
	e.mu.Lock()
	defer e.mu.Unlock()
	living := e.living()
	all := make([]Holding, len(living))
	for i, h := range living {
		all[i] = *h
	}
	return all
}

// Disturb changes the refs of a repository at random: a commit on a branch, a new branch or tag,
// a forced push, or a branch that is deleted.
func (e *Estate) Disturb(number int64, random *rand.Rand) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.repos[number]
	if h == nil || h.Deleted {
		return nil
	}
	e.changes++
	n := e.changes
	push := func(history bitbuckettest.History) error {
		return e.double.Control(http.MethodPost, "push", map[string]any{"repository": h.Address, "history": history}, nil)
	}
	commit := bitbuckettest.Commit{
		Branch: h.branches[random.IntN(len(h.branches))], Message: fmt.Sprintf("Change %d of %s", n, h.Address),
		Files: map[string]bitbuckettest.File{fmt.Sprintf("change%d.txt", n%50): bitbuckettest.Text(Noise(random, 1+random.IntN(20<<10)))},
	}
	var err error
	switch choice := random.IntN(10); {
	case choice == 0: // a forced push
		commit.From = "main"
		err = push(bitbuckettest.History{Commits: []bitbuckettest.Commit{commit}})
	case choice == 1:
		err = push(bitbuckettest.History{Tags: []bitbuckettest.Tag{{Name: fmt.Sprintf("v%d", n), Target: "main", Message: "A tag"}}})
	case choice <= 3 && len(h.branches) < 12:
		commit.Branch, commit.From = fmt.Sprintf("topic/%d", n), "main"
		h.branches = append(h.branches, commit.Branch)
		err = push(bitbuckettest.History{Commits: []bitbuckettest.Commit{commit}})
	case choice == 4 && len(h.branches) > 1:
		last := len(h.branches) - 1
		err = e.double.Control(http.MethodPost, "branch", map[string]any{"repository": h.Address, "branch": h.branches[last], "action": "delete"}, nil)
		h.branches = h.branches[:last]
	default:
		err = push(bitbuckettest.History{Commits: []bitbuckettest.Commit{commit}})
	}
	if err != nil {
		return err
	}
	return e.note(h)
}

// Rename gives a repository another address, which must be free.
func (e *Estate) Rename(number int64, to string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.repos[number]
	if err := e.double.Control(http.MethodPost, "rename", map[string]string{"from": h.Address, "to": to}, nil); err != nil {
		return err
	}
	h.Address = to
	e.lives(h)
	return nil
}

// Delete removes a repository.
func (e *Estate) Delete(number int64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.repos[number]
	h.Deleted = true
	return e.double.Control(http.MethodDelete, "repository", map[string]string{"repository": h.Address}, nil)
}

// WasAt tells whether a repository is or was at an address.
func (e *Estate) WasAt(address string, number int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.addresses[strings.ToLower(address)][number]
}

// Position returns which of the states of a repository a mirror has, counted from 0; false
// if it never held that.
func (e *Estate) Position(number int64, refs Refs) (int, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.repos[number]
	if h == nil {
		return 0, false
	}
	for i, state := range slices.Backward(h.states) {
		if state == refs {
			return i, true
		}
	}
	return 0, false
}

// Behind returns the repositories whose mirrors below a data folder do not have what the double
// holds now, and why.
func (e *Estate) Behind(data string) (map[string]string, error) {
	mirrors, err := Mirrors(data)
	if err != nil {
		return nil, err
	}
	behind := map[string]string{}
	for _, h := range e.Living() {
		folder, ok := mirrors[h.Number]
		if !ok {
			behind[h.Address] = "there is no mirror"
			continue
		}
		want, err := ReadRefs(e.double.Repository(h.Number))
		if err != nil {
			return nil, err
		}
		if got, err := ReadRefs(folder); err != nil || got != want {
			behind[h.Address] = fmt.Sprintf("number %d: %v: the mirror has\n%s\nand Bitbucket\n%s", h.Number, err, got, want)
		}
	}
	return behind, nil
}
