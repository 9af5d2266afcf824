package gitmirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// Fetch implements syncer.Mirrors. It asks for the refs first; when these and HEAD are what
// request.RefsDigest and the mirror say, it ends there and writes nothing. A mirror whose pack
// indexes cannot be read, or that has too many packs, is cloned anew, beside the old one.
//
// Answers that would take all refs from a mirror, or most of many, are asked for a second time. Refs that
// cannot be kept (a branch called HEAD, names that no file can have) are left out with a note
// in the log. A failure of Bitbucket wraps a sentinel of package bitbucket; with a Retry-After it also has a
// method RetryAfter() time.Duration. An ended context gives its error.
func (m *Mirrors) Fetch(ctx context.Context, request syncer.FetchRequest) (syncer.FetchResult, error) {
	// go-git leaves an answer open that it cannot read; its connection ends with this context.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, unlock, err := m.lockWriter(ctx, request.Repo)
	if err != nil {
		return syncer.FetchResult{}, fmt.Errorf("fetch %s: %w", request.Repo, err)
	}
	defer unlock()
	w.removed = false
	start := time.Now()
	f := &fetch{Mirrors: m, writer: w, request: &request}
	if f.engine, err = m.engine(); err != nil {
		return syncer.FetchResult{}, fmt.Errorf("fetch %s: %w", request.Repo, err)
	}
	if f.remote, err = m.newRemote(&request); err != nil {
		return syncer.FetchResult{}, fmt.Errorf("fetch %s: %w", request.Repo, err)
	}
	defer f.remote.close()
	result, err := f.run(ctx)
	if err != nil {
		return syncer.FetchResult{}, fmt.Errorf("fetch %s: %w", request.Repo, m.explainDisk(err))
	}
	result.Received, result.Engine = f.remote.received(), f.used
	result.Duration = time.Since(start)
	return result, nil
}

// fetch is one run of Fetch. Whoever runs it holds the writer's lock.
type fetch struct {
	*Mirrors
	*writer
	remote  remote
	engine  engine
	request *syncer.FetchRequest
	adv     *packp.AdvRefs // what Bitbucket listed last
	have    *refTable      // what the mirror holds; nil when there is none
	files   *refFiles      // where have is from
	want    *refTable      // what it is to hold after adv
	unsound *damagedError  // what is wrong with the mirror; nil when nothing is
	cloned  bool           // the mirror is new
	used    string         // the engine that received objects
}

func (f *fetch) run(ctx context.Context) (syncer.FetchResult, error) {
	var err error
	if f.files, err = readMirror(f.dir); err != nil {
		return syncer.FetchResult{}, fmt.Errorf("read the refs of the mirror: %w", err)
	}
	if f.files != nil {
		f.have = f.files.table()
	}
	if err := f.list(ctx); err != nil {
		return syncer.FetchResult{}, err
	}
	f.unsound = f.damageOf()
	if !f.same() || f.unsound != nil || f.request.RefsDigest != f.want.digest() {
		if err := f.bring(ctx); err != nil {
			return syncer.FetchResult{}, err
		}
	}
	if f.used != "" && !f.cloned {
		f.repack(ctx)
	}
	result := syncer.FetchResult{
		Changed:       !f.same(),
		RefsDigest:    f.want.digest(),
		DefaultBranch: f.want.defaultBranch(),
		Empty:         len(f.want.refs) == 0,
	}
	if f.size == 0 && f.used == "" && !f.cloned {
		f.size = f.request.SizeBytes // nothing was written, so it still holds
	}
	if f.size == 0 {
		if f.size, err = sizeOf(f.dir); err != nil {
			return syncer.FetchResult{}, err
		}
	}
	result.Cloned, result.SizeBytes = f.cloned, f.size
	return result, nil
}

// same tells that the mirror held before the fetch what it is to hold.
func (f *fetch) same() bool {
	return f.have != nil && (f.unsound == nil || !f.unsound.refs) && f.have.digest() == f.want.digest()
}

// readMirror returns the files of the refs of the mirror at dir, nil when there is no mirror or none that git
// would accept as a repository.
func readMirror(dir string) (*refFiles, error) {
	for _, part := range []string{"objects", "refs"} {
		if _, err := os.Stat(filepath.Join(dir, part)); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	files, err := readRefFiles(dir)
	if errors.Is(err, fs.ErrNotExist) { // HEAD
		return nil, nil
	}
	return files, err
}

// list asks Bitbucket what the mirror should hold.
func (f *fetch) list(ctx context.Context) (err error) {
	if f.adv, err = f.remote.list(ctx); err != nil {
		return err
	}
	want, skipped := tableOf(f.adv, f.have, f.request.DefaultBranch)
	if f.have != nil && shrinks(f.have, want) {
		if f.adv, err = f.remote.list(ctx); err != nil {
			return err
		}
		again, _ := tableOf(f.adv, f.have, f.request.DefaultBranch)
		if again.digest() != want.digest() {
			return &remoteError{
				kind: bitbucket.ErrUnavailable,
				text: fmt.Sprintf("the git server listed %d refs and then %d, where the mirror has %d; nothing was changed", len(want.refs), len(again.refs), len(f.have.refs)),
			}
		}
		if err := f.confirmEmpty(ctx, want); err != nil {
			return err
		}
	}
	if len(skipped) > 0 {
		slices.Sort(skipped)
		f.log.WarnContext(ctx, "refs left out of the mirror", "repository", f.id, "count", len(skipped),
			"first", printable(fmt.Sprintf("%q", skipped[0]), 300))
	}
	f.want = want
	return nil
}

// confirmEmpty makes sure that a repository of which git lists no ref has none.
func (f *fetch) confirmEmpty(ctx context.Context, want *refTable) error {
	if len(want.refs) > 0 || f.request.HasBranches == nil {
		return nil
	}
	has, err := f.request.HasBranches(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("the git server lists no ref where the mirror has %d, and Bitbucket could not be asked whether that is so: %w", len(f.have.refs), err)
	case has:
		return &remoteError{
			kind: bitbucket.ErrUnavailable,
			text: fmt.Sprintf("the git server lists no ref where the mirror has %d, and Bitbucket's API has branches; "+
				"nothing was changed. Look at what stands before git", len(f.have.refs)),
		}
	}
	return nil
}

// damageOf returns what is wrong with the mirror; nil when nothing is, or when it could not be looked for:
// what follows meets the same disk.
func (f *fetch) damageOf() *damagedError {
	if f.have == nil {
		return nil
	}
	err := f.examine(f.started, f.files)
	damage, _ := errors.AsType[*damagedError](err)
	if err != nil && damage == nil {
		f.log.Warn("a mirror could not be checked", "repository", f.id, "err", err)
	}
	return damage
}

// bring brings the objects that the mirror is to have, and then, unless they are the same already, the refs. A
// mirror whose objects are damaged is cloned anew.
func (f *fetch) bring(ctx context.Context) error {
	f.size = 0
	if f.have == nil {
		return f.clone(ctx)
	}
	if f.unsound != nil && !f.unsound.refs {
		f.log.WarnContext(ctx, "the mirror is damaged and is cloned anew", "repository", f.id, "err", f.unsound.cause)
		return f.clone(ctx)
	}
	if !f.same() && f.isCrowded() {
		err := f.clone(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		// What fails here, for instance for want of space, must not keep the mirror from its news.
		f.log.WarnContext(ctx, "the mirror has many packs and could not be cloned anew", "repository", f.id, "err", err)
	}
	err := f.update(ctx)
	if damage, ok := errors.AsType[*damagedError](err); ok {
		f.log.WarnContext(ctx, "the mirror is damaged and is cloned anew", "repository", f.id, "err", damage.cause)
		return f.clone(ctx)
	}
	if err != nil {
		return err
	}
	if f.same() {
		return nil
	}
	// From here on it takes milliseconds, and half of it would not do.
	err = f.want.write(f.dir, f.tmp)
	f.readers.renew(f.id)
	if err == nil && f.unsound != nil {
		f.healed()
	}
	return err
}

// isCrowded tells whether the mirror has so many packs, since repacks failed, that it is cloned anew: go-git
// reads the index of each. After a clone that failed some fetches pass until the next.
func (f *fetch) isCrowded() bool {
	packs, err := packFiles(f.dir, ".pack")
	return err == nil && len(packs) >= f.maxPacks && len(packs)%max(f.maxPacks/10, 1) == 0
}

// stage makes an empty repository beside the mirrors, whose name tells what it is for. The caller removes it.
func (f *fetch) stage(purpose string) (dir string, err error) {
	dir, err = os.MkdirTemp(f.tmp, tmpPrefix+purpose+"-")
	if err == nil {
		err = initBare(dir)
	}
	if err != nil {
		return dir, fmt.Errorf("prepare a %s: %w", purpose, err)
	}
	return dir, nil
}

// obtain receives wants into a stage. When a branch was moved after it was listed, it lists once more and
// receives what is missing then: f.want may be another one afterwards. The mirror's objects count as there;
// nil for none.
func (f *fetch) obtain(ctx context.Context, into stage, wants []plumbing.Hash, mirror *filesystem.Storage) error {
	err := f.obtainOnce(ctx, into, wants, mirror)
	if moved, ok := errors.AsType[*remoteError](err); !ok || !moved.stale {
		return err
	}
	before := f.want.digest()
	if err := f.list(ctx); err != nil {
		return err
	}
	if f.want.digest() == before {
		return err
	}
	f.log.DebugContext(ctx, "refs were moved during a fetch", "repository", f.id)
	if wants, err = f.missing(into, mirror); err != nil || len(wants) == 0 {
		return err
	}
	return f.obtainOnce(ctx, into, wants, mirror)
}

// obtainOnce receives wants and makes sure that they came: an empty pack is no failure to an engine.
func (f *fetch) obtainOnce(ctx context.Context, into stage, wants []plumbing.Hash, mirror *filesystem.Storage) error {
	var haves []plumbing.Hash
	if mirror != nil {
		haves = havesOf(mirror, f.have, f.want)
	}
	f.used = f.engine.name()
	if err := f.receive(ctx, into, wants, haves); err != nil {
		return err
	}
	lost, err := f.missing(into, mirror)
	if err == nil && len(lost) > 0 {
		err = missingObjects(lost[0])
	}
	return err
}

// missing returns what f.want names and neither the mirror nor the stage has.
func (f *fetch) missing(into stage, mirror *filesystem.Storage) ([]plumbing.Hash, error) {
	staged := openObjects(into.dir)
	wants, err := lacking(staged, distinct(f.want.refs))
	if err = errors.Join(err, staged.Close()); err != nil {
		return nil, fmt.Errorf("read the objects that were received: %w", err)
	}
	if mirror == nil {
		return wants, nil
	}
	if wants, err = lacking(mirror, wants); err != nil {
		return nil, fmt.Errorf("read the objects of the mirror: %w", err)
	}
	return wants, nil
}

// clone makes the mirror beside its place and renames it into that.
func (f *fetch) clone(ctx context.Context) error {
	if err := f.Room(); err != nil {
		return err
	}
	dir, err := f.stage("clone")
	unsettled := false
	defer func() {
		if !unsettled {
			_ = os.RemoveAll(dir)
		}
	}()
	if err != nil {
		return err
	}
	if wants := distinct(f.want.refs); len(wants) > 0 {
		if err := f.obtain(ctx, stage{dir: dir, report: f.request.Progress}, wants, nil); err != nil {
			return err
		}
	}
	if err := stopped(ctx); err != nil {
		return err
	}
	if err := f.want.write(dir, f.tmp); err != nil {
		return err
	}
	if err := syncTree(dir); err != nil {
		return fmt.Errorf("write the mirror to the disk: %w", err)
	}
	parent := filepath.Dir(f.dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return fmt.Errorf("put the mirror into its place: %w", err)
	}
	// What is there is damaged, or has many packs, or is no repository.
	remove, err := f.swap(dir, f.tmp)
	if err != nil {
		return fmt.Errorf("put the mirror into its place: %w", err)
	}
	f.cloned = true
	f.healed()
	f.readers.renew(f.id)
	if err := errors.Join(f.syncFolder(parent), f.syncFolder(f.root)); err != nil {
		unsettled = true // after a power cut the old one may be in its place: it stays whole until a start finds which
		return fmt.Errorf("put the mirror into its place: %w", err)
	}
	remove()
	return nil
}

// update receives what the mirror lacks beside it, and moves the pack into the mirror. A
// *damagedError when the mirror's own indexes make no sense, or it lacks what its refs lead to; nothing was
// changed then.
func (f *fetch) update(ctx context.Context) error {
	mirror := openObjects(f.dir)
	defer func() { _ = mirror.Close() }()
	wants, err := lacking(mirror, distinct(f.want.refs))
	if err != nil && !isLocal(err) {
		return &damagedError{cause: err}
	}
	if err != nil {
		return fmt.Errorf("read the objects of the mirror: %w", err)
	}
	if len(wants) == 0 {
		return stopped(ctx)
	}
	dir, err := f.stage("fetch")
	defer func() { _ = os.RemoveAll(dir) }()
	if err != nil {
		return err
	}
	if err := f.obtain(ctx, stage{dir: dir, mirror: f.dir, report: f.request.Progress}, wants, mirror); err != nil {
		return err
	}
	if err := stopped(ctx); err != nil {
		return err
	}
	f.checked = 0 // what comes is looked at by the next fetch
	if err := movePacks(dir, f.dir); err != nil {
		return fmt.Errorf("put the objects into the mirror: %w", err)
	}
	return nil
}

// initBare makes dir an empty bare repository, without a remote: addresses and credentials
// are no business of the mirror's configuration.
func initBare(dir string) error {
	for _, folder := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(folder)), 0o700); err != nil {
			return err
		}
	}
	config := "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "HEAD"), []byte(symbolic+headsPrefix+"master\n"), 0o600)
}

// openObjects opens the objects of a repository for the length of a fetch.
func openObjects(dir string) *filesystem.Storage {
	return filesystem.NewStorageWithOptions(osfs.New(dir), cache.NewObjectLRU(8*cache.MiByte),
		filesystem.Options{MaxOpenDescriptors: maxOpenPacks})
}

// distinct returns each hash of refs once, in order.
func distinct(refs map[string]plumbing.Hash) []plumbing.Hash {
	hashes := make([]plumbing.Hash, 0, len(refs))
	for _, h := range refs {
		hashes = append(hashes, h)
	}
	plumbing.HashesSort(hashes)
	return slices.Compact(hashes)
}

// lacking returns those of hashes that are in none of the places.
func lacking(place *filesystem.Storage, hashes []plumbing.Hash) ([]plumbing.Hash, error) {
	var missing []plumbing.Hash
	for _, h := range hashes {
		err := place.HasEncodedObject(h)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			missing = append(missing, h)
		} else if err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// movePacks moves what was received in stage into the mirror. An index goes before its pack:
// go-git lists packs and then expects their indexes.
func movePacks(stage, dir string) error {
	from, to := filepath.Join(stage, "objects", "pack"), filepath.Join(dir, "objects", "pack")
	if err := syncTree(from); err != nil {
		return err
	}
	packs, err := packFiles(stage, ".pack")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, pack := range packs {
		base := pack[:len(pack)-len(".pack")]
		for _, file := range []string{base + ".idx", pack} {
			if err := os.Rename(file, filepath.Join(to, filepath.Base(file))); err != nil {
				return err
			}
		}
	}
	return syncPath(to)
}
