package gitmirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"example.com/signpost/syncer"
)

// httpRemote is a repository that is reached over HTTP.
type httpRemote struct {
	*guard
	url     string
	client  transport.Transport
	session transport.UploadPackSession // that the last list opened
}

// newHTTPRemote returns the remote of a request. Its HTTP client is its own: go-git's table of
// protocols is global, and would mix the trust and the credentials of connections.
func newHTTPRemote(u *url.URL, request *syncer.FetchRequest, idle time.Duration) (*httpRemote, error) {
	if request.Transport == nil {
		return nil, errors.New("FetchRequest needs Transport")
	}
	u.User = nil // Bitbucket before 6.2 puts the caller's name here
	u.RawQuery, u.Fragment = "", ""
	g := newGuard(request.Transport, request.Authorize, u, idle)
	return &httpRemote{
		guard:  g,
		url:    u.String(),
		client: githttp.NewClient(&http.Client{Transport: g}),
	}, nil
}

// list implements remote.
func (r *httpRemote) list(ctx context.Context) (*packp.AdvRefs, error) {
	r.forget()
	endpoint, err := transport.NewEndpoint(r.url)
	if err != nil {
		return nil, errors.New("the clone address is not a URL that git can use")
	}
	if r.session, err = r.client.NewUploadPackSession(endpoint, nil); err != nil {
		return nil, err
	}
	adv, err := r.session.AdvertisedReferencesContext(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return packp.NewAdvRefs(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("list refs: %w", explain(ctx, r, err))
	}
	return adv, nil
}

// open implements remote.
func (r *httpRemote) open(ctx context.Context, request *packp.UploadPackRequest) (io.ReadCloser, error) {
	r.forget()
	response, err := r.session.UploadPack(ctx, request)
	if err != nil {
		return nil, err
	}
	return response, nil
}

// close implements remote. The connections are the transport's.
func (*httpRemote) close() {}
