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

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
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
	start := time.Now()
	r, err := newRemote(&request, m.idle)
	if err != nil {
		return syncer.FetchResult{}, fmt.Errorf("fetch %s: %w", request.Repo, err)
	}
	f := &fetch{Mirrors: m, writer: w, remote: r, request: &request}
	result, err := f.run(ctx)
	if err != nil {
		return syncer.FetchResult{}, fmt.Errorf("fetch %s: %w", request.Repo, err)
	}
	result.Duration = time.Since(start)
	return result, nil
}

// fetch is one run of Fetch. Whoever runs it holds the writer's lock.
type fetch struct {
	*Mirrors
	*writer
	*remote
	request *syncer.FetchRequest
	cloned  bool // the mirror is new
}

func (f *fetch) run(ctx context.Context) (syncer.FetchResult, error) {
	have, err := f.have()
	if err != nil {
		return syncer.FetchResult{}, fmt.Errorf("read the refs of the mirror: %w", err)
	}
	want, err := f.want(ctx, have)
	if err != nil {
		return syncer.FetchResult{}, err
	}
	result := syncer.FetchResult{
		RefsDigest:    want.digest(),
		DefaultBranch: want.defaultBranch(),
		Empty:         len(want.refs) == 0,
	}
	same := have != nil && have.digest() == result.RefsDigest
	result.Changed = !same
	if !same || f.request.RefsDigest != result.RefsDigest {
		if err := f.bring(ctx, have, want, same); err != nil {
			return syncer.FetchResult{}, err
		}
	}
	if f.size == 0 {
		if f.size, err = sizeOf(f.dir); err != nil {
			return syncer.FetchResult{}, err
		}
	}
	result.Cloned, result.SizeBytes = f.cloned, f.size
	return result, nil
}

// have returns what the mirror holds, nil when there is no mirror or none that git would
// accept as a repository.
func (f *fetch) have() (*refTable, error) {
	for _, part := range []string{"HEAD", "objects", "refs"} {
		if _, err := os.Stat(filepath.Join(f.dir, part)); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	return readRefTable(f.dir)
}

// want asks Bitbucket what the mirror should hold.
func (f *fetch) want(ctx context.Context, have *refTable) (*refTable, error) {
	adv, err := f.list(ctx)
	if err != nil {
		return nil, err
	}
	want, skipped := tableOf(adv, have, f.request.DefaultBranch)
	if have != nil && shrinks(have, want) {
		if adv, err = f.list(ctx); err != nil {
			return nil, err
		}
		again, _ := tableOf(adv, have, f.request.DefaultBranch)
		if again.digest() != want.digest() {
			return nil, &remoteError{
				kind: bitbucket.ErrUnavailable,
				text: fmt.Sprintf("the git server listed %d refs and then %d, where the mirror has %d; nothing was changed", len(want.refs), len(again.refs), len(have.refs)),
			}
		}
	}
	if len(skipped) > 0 {
		slices.Sort(skipped)
		f.log.WarnContext(ctx, "refs left out of the mirror", "repository", f.id, "count", len(skipped),
			"first", printable(fmt.Sprintf("%q", skipped[0]), 300))
	}
	return want, nil
}

// bring brings the objects that want needs, and then, unless they are the same already, the refs.
func (f *fetch) bring(ctx context.Context, have, want *refTable, same bool) error {
	f.size = 0
	if have == nil {
		return f.clone(ctx, want)
	}
	if !same && f.isCrowded() {
		err := f.clone(ctx, want)
		if err == nil || ctx.Err() != nil {
			return err
		}
		// What fails here, for instance for want of space, must not keep the mirror from its news.
		f.log.WarnContext(ctx, "the mirror has many packs and could not be cloned anew", "repository", f.id, "err", err)
	}
	err := f.update(ctx, have, want)
	if damage, ok := errors.AsType[*damagedError](err); ok {
		f.log.WarnContext(ctx, "the mirror is damaged and is cloned anew", "repository", f.id, "err", damage.cause)
		return f.clone(ctx, want)
	}
	if err != nil {
		return err
	}
	if same {
		return nil
	}
	// From here on it takes milliseconds, and half of it would not do.
	err = want.write(f.dir, f.tmp)
	f.readers.renew(f.id)
	return err
}

// isCrowded tells whether the mirror has so many packs that it is cloned anew: each fetch adds
// one, go-git reads the index of each, and its RepackObjects is not safe (#2370). After a clone that
// failed some fetches pass until the next.
func (f *fetch) isCrowded() bool {
	packs, err := packFiles(f.dir, ".pack")
	return err == nil && len(packs) >= f.maxPacks && len(packs)%max(f.maxPacks/10, 1) == 0
}

// stage makes an empty repository beside the mirrors. The caller removes it.
func (f *fetch) stage() (dir string, err error) {
	dir, err = os.MkdirTemp(f.tmp, tmpPrefix+"fetch-")
	if err == nil {
		err = initBare(dir)
	}
	if err != nil {
		return dir, fmt.Errorf("prepare a fetch: %w", err)
	}
	return dir, nil
}

// clone makes the mirror beside its place and renames it into that.
func (f *fetch) clone(ctx context.Context, want *refTable) error {
	stage, err := f.stage()
	defer func() { _ = os.RemoveAll(stage) }()
	if err != nil {
		return err
	}
	if wants := distinct(want.refs); len(wants) > 0 {
		objects := openStage(stage)
		err := f.receivePack(ctx, objects, wants, nil, f.request.Progress)
		if err == nil {
			err = checkReceived(wants, objects.Storage)
		}
		if err = errors.Join(err, objects.Close()); err != nil {
			return err
		}
	}
	if err := stopped(ctx); err != nil {
		return err
	}
	if err := want.write(stage, f.tmp); err != nil {
		return err
	}
	if err := syncTree(stage); err != nil {
		return fmt.Errorf("write the mirror to the disk: %w", err)
	}
	parent := filepath.Dir(f.dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return fmt.Errorf("put the mirror into its place: %w", err)
	}
	// What is there is damaged, or no repository: half of a folder that was being removed.
	aside := stage + "-aside"
	if err := os.Rename(f.dir, aside); err == nil {
		defer func() { _ = os.RemoveAll(aside) }()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("put the mirror into its place: %w", err)
	}
	if err := os.Rename(stage, f.dir); err != nil {
		return fmt.Errorf("put the mirror into its place: %w", err)
	}
	f.cloned = true
	f.readers.renew(f.id)
	if err := errors.Join(syncPath(parent), syncPath(f.root)); err != nil {
		return fmt.Errorf("put the mirror into its place: %w", err)
	}
	return nil
}

// update receives what the mirror lacks beside it, and moves the pack into the mirror. A
// *damagedError when the mirror's own indexes make no sense; nothing was received then.
func (f *fetch) update(ctx context.Context, have, want *refTable) error {
	mirror := openObjects(f.dir)
	defer func() { _ = mirror.Close() }()
	wants, err := lacking(mirror, distinct(want.refs))
	if err != nil && !isLocal(err) {
		return &damagedError{cause: err}
	}
	if err != nil {
		return fmt.Errorf("read the objects of the mirror: %w", err)
	}
	if len(wants) == 0 {
		return stopped(ctx)
	}
	stage, err := f.stage()
	defer func() { _ = os.RemoveAll(stage) }()
	if err != nil {
		return err
	}
	staged := openStage(stage)
	err = f.receivePack(ctx, staged, wants, havesOf(mirror, have, want), f.request.Progress)
	if err == nil {
		err = checkReceived(wants, staged.Storage, mirror)
	}
	if err = errors.Join(err, staged.Close()); err != nil {
		return err
	}
	if err := stopped(ctx); err != nil {
		return err
	}
	if err := movePacks(stage, f.dir); err != nil {
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
func openObjects(dir string) *filesystem.Storage { return openObjectsOn(osfs.New(dir)) }

func openObjectsOn(files billy.Filesystem) *filesystem.Storage {
	return filesystem.NewStorageWithOptions(files, cache.NewObjectLRU(8*cache.MiByte),
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

// checkReceived returns an error if one of wants is in none of the places. go-git takes an
// empty answer for success.
func checkReceived(wants []plumbing.Hash, places ...*filesystem.Storage) error {
	missing := wants
	for _, place := range places {
		place.Reindex() // the pack came after it was opened
		var err error
		if missing, err = lacking(place, missing); err != nil {
			return fmt.Errorf("read the objects that were received: %w", err)
		}
	}
	if len(missing) > 0 {
		return missingObjects(missing[0])
	}
	return nil
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
