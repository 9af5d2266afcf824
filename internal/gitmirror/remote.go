package gitmirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// remote is the repository on Bitbucket, for the length of one fetch. It is not safe for
// concurrent use.
type remote struct {
	url     string
	guard   *guard
	client  transport.Transport
	session transport.UploadPackSession // that the last list opened
	adv     *packp.AdvRefs              // what the last list got; nil for an empty repository
}

// newRemote returns the remote of a request. Its HTTP client is its own: go-git's table of
// protocols is global, and would mix the trust and the credentials of connections.
func newRemote(request *syncer.FetchRequest, idle time.Duration) (*remote, error) {
	u, err := url.Parse(request.CloneURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("the clone address is not an http or https URL") // it may hold a password: not repeated
	}
	if request.Transport == nil {
		return nil, errors.New("FetchRequest needs Transport")
	}
	u.User = nil // Bitbucket before 6.2 puts the caller's name here
	u.RawQuery, u.Fragment = "", ""
	g := newGuard(request.Transport, request.Authorize, u, idle)
	return &remote{
		url:    u.String(),
		guard:  g,
		client: githttp.NewClient(&http.Client{Transport: g}),
	}, nil
}

// list asks for the refs. An empty repository has none, and no HEAD.
func (r *remote) list(ctx context.Context) (*packp.AdvRefs, error) {
	endpoint, err := transport.NewEndpoint(r.url)
	if err != nil {
		return nil, errors.New("the clone address is not a URL that git can use")
	}
	if r.session, err = r.client.NewUploadPackSession(endpoint, nil); err != nil {
		return nil, err
	}
	r.adv, err = r.session.AdvertisedReferencesContext(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		r.adv = nil
		return packp.NewAdvRefs(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("list refs: %w", r.explain(ctx, err))
	}
	return r.adv, nil
}

// explain returns why the remote failed, in the order of what is surest: the caller gave
// up, something went wrong on the wire, the answer makes no sense.
func (r *remote) explain(ctx context.Context, err error) error {
	if stop := stopped(ctx); stop != nil {
		return stop
	}
	if failure := r.guard.failure(); failure != nil {
		return failure
	}
	return garbled(err)
}

// receivePack asks for all objects that wants need and haves lack, and writes them as one
// pack with its index into dst. It is the step that another engine can take over.
func (r *remote) receivePack(ctx context.Context, dst storer.PackfileWriter, wants, haves []plumbing.Hash, report func(string)) error {
	request := packp.NewUploadPackRequestFromCapabilities(r.adv.Capabilities)
	request.Wants, request.Haves = wants, haves
	var progress sideband.Progress
	if report != nil {
		w := &progressWriter{report: report}
		defer w.flush()
		progress = w
	} else if r.adv.Capabilities.Supports(capability.NoProgress) {
		if err := request.Capabilities.Set(capability.NoProgress); err != nil {
			return err
		}
	}
	response, err := r.session.UploadPack(ctx, request)
	if err != nil {
		return fmt.Errorf("receive objects: %w", r.explain(ctx, err))
	}
	defer func() { _ = response.Close() }()

	pack := &packReader{Reader: demultiplex(request.Capabilities, response, progress)}
	err = packfile.WritePackfileToObjectStorage(dst, pack)
	switch {
	case err == nil:
		return nil
	case stopped(ctx) == nil && pack.err == nil && isLocal(err):
		return fmt.Errorf("write the objects that were received: %w", err)
	case pack.err != nil:
		err = pack.err // the parser's complaint about a short pack says less
	}
	return fmt.Errorf("receive objects: %w", r.explain(ctx, err))
}

// isLocal tells whether the disk failed rather than the remote.
func isLocal(err error) bool {
	var (
		pathErr *fs.PathError
		linkErr *os.LinkError
		callErr *os.SyscallError
	)
	return errors.As(err, &pathErr) || errors.As(err, &linkErr) || errors.As(err, &callErr)
}

// missingObjects is the error for a server that promised objects and did not send them.
func missingObjects(hash plumbing.Hash) error {
	return &remoteError{
		kind: bitbucket.ErrUnavailable,
		text: fmt.Sprintf("the git server did not send %s, which it lists; the next fetch tries again", hash),
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
// wrong with writing.
type packReader struct {
	io.Reader
	err error
}

func (r *packReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}
