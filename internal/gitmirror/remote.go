package gitmirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// remote is the repository on Bitbucket, for the length of one fetch. It is not safe for
// concurrent use, but for received.
type remote interface {
	// list asks for the refs. An empty repository has none, and no HEAD.
	list(ctx context.Context) (*packp.AdvRefs, error)
	// open sends a request for a pack, after a list, and returns what follows the acknowledgments. The
	// caller closes it.
	open(ctx context.Context, request *packp.UploadPackRequest) (io.ReadCloser, error)
	// failure returns the first thing that went wrong on the wire since the last list or open began, or nil.
	failure() error
	// received returns how many bytes of answers came.
	received() int64
	// close ends the connection where it is the fetch's own.
	close()
}

// newRemote returns the remote of a request.
func (m *Mirrors) newRemote(request *syncer.FetchRequest) (remote, error) {
	u, err := url.Parse(request.CloneURL)
	if err != nil || u.Host == "" {
		return nil, errors.New("the clone address is no URL") // it may hold a password: not repeated
	}
	switch u.Scheme {
	case "http", "https":
		return newHTTPRemote(u, request, m.idle)
	case "ssh":
		return m.newSSHRemote(u, request)
	}
	return nil, errors.New("the clone address is not an http, https or ssh URL")
}

// explain returns why a remote failed, in the order of what is surest: the caller gave up, something
// went wrong on the wire, the answer makes no sense.
func explain(ctx context.Context, r remote, err error) error {
	if stop := stopped(ctx); stop != nil {
		return stop
	}
	if failure := r.failure(); failure != nil {
		return failure
	}
	return garbled(err)
}

// receive asks for all objects that wants need and haves lack, and has the engine write them as a
// pack with its index into a stage.
func (f *fetch) receive(ctx context.Context, into stage, wants, haves []plumbing.Hash) error {
	request := packp.NewUploadPackRequestFromCapabilities(f.adv.Capabilities)
	request.Wants, request.Haves = wants, haves
	if into.mirror != "" && f.engine.completes() {
		// go-git takes this from the list of what the server can. Every git can since 2005.
		if err := request.Capabilities.Set(capability.ThinPack); err != nil {
			return err
		}
	}
	var progress sideband.Progress
	if into.report != nil {
		w := &progressWriter{report: into.report}
		defer w.flush()
		progress = w
	} else if f.adv.Capabilities.Supports(capability.NoProgress) {
		if err := request.Capabilities.Set(capability.NoProgress); err != nil {
			return err
		}
	}
	release, err := f.engine.reserve(ctx)
	if err != nil {
		return err
	}
	defer release()
	response, err := f.remote.open(ctx, request)
	if err != nil {
		return fmt.Errorf("receive objects: %w", explain(ctx, f.remote, err))
	}
	defer func() { _ = response.Close() }()

	pack := &packReader{reader: demultiplex(request.Capabilities, response, progress)}
	err = f.engine.store(ctx, pack, into)
	if err == nil {
		return nil
	}
	broken := pack.broken()
	switch {
	case stopped(ctx) == nil && broken == nil && isLocal(err):
		return fmt.Errorf("write the objects that were received: %w", err)
	case stopped(ctx) == nil && broken == nil && into.mirror != "" && errors.Is(err, errNoBase):
		return &damagedError{cause: err}
	case broken != nil:
		err = broken // the parser's complaint about a short pack says less
	}
	return fmt.Errorf("receive objects: %w", explain(ctx, f.remote, err))
}

// isLocal tells whether the disk or an engine failed rather than the remote.
func isLocal(err error) bool {
	var (
		pathErr    *fs.PathError
		linkErr    *os.LinkError
		callErr    *os.SyscallError
		programErr *programError
	)
	return errors.Is(err, syncer.ErrTooLarge) || errors.As(err, &pathErr) || errors.As(err, &linkErr) || errors.As(err, &callErr) || errors.As(err, &programErr)
}

// missingObjects is the error for a server that promised objects and did not send them.
func missingObjects(hash plumbing.Hash) error {
	return &remoteError{
		kind:  bitbucket.ErrUnavailable,
		text:  fmt.Sprintf("the git server did not send %s, which it lists; the next fetch tries again", hash),
		stale: true,
	}
}

// demultiplex returns the pack of a response; what the server says to people goes to progress.
func demultiplex(used *capability.List, response io.Reader, progress sideband.Progress) io.Reader {
	kind := sideband.Sideband64k
	switch {
	case used.Supports(capability.Sideband64k):
	case used.Supports(capability.Sideband):
		kind = sideband.Sideband
	default:
		return response
	}
	d := sideband.NewDemuxer(kind, response)
	d.Progress = progress
	return d
}

// packReader remembers what went wrong with reading, so that it can be told from what went
// wrong with writing. An engine that is a process may be over before its last read is.
type packReader struct {
	reader io.Reader

	mu  sync.Mutex
	err error
}

// Read implements io.Reader.
func (r *packReader) Read(p []byte) (int, error) {
	n, err := r.reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.mu.Lock()
		r.err = err
		r.mu.Unlock()
	}
	return n, err
}

func (r *packReader) broken() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
