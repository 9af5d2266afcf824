package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/signpost/api"
)

const (
	httpRepositories = 20_000
	httpPages        = 256 // different pages that the clients ask for
	httpConnections  = 8
)

// compareHTTP compares GET /api/v1/resolve, answered from the cache, with a handler that
// only writes: the same headers and as many bytes, both behind the same http.Server.
//
// The client is as small as it can be: it sends requests that were rendered before, and
// reads an answer without making anything of it. One that costs as much as the server
// would take half of the machine, and hide half of the difference.
func compareHTTP(ctx context.Context, b *bench) ([]row, error) {
	publisher, r, urls, err := b.warmResolver(ctx, httpRepositories, httpPages)
	if err != nil {
		return nil, err
	}
	server, err := api.New(api.Options{
		Resolver: r, Configuration: publisher, Metrics: prometheus.NewRegistry(), Logger: quiet(),
	})
	if err != nil {
		return nil, err
	}
	ours, stopOurs, err := serve(ctx, server.Handler())
	if err != nil {
		return nil, err
	}
	defer stopOurs()
	bare, err := bareHandler(ctx, ours, urls[0])
	if err != nil {
		return nil, err
	}
	theirs, stopTheirs, err := serve(ctx, bare)
	if err != nil {
		return nil, err
	}
	defer stopTheirs()

	ourLoad, err := newLoad(ctx, ours, urls)
	if err != nil {
		return nil, err
	}
	defer ourLoad.close()
	theirLoad, err := newLoad(ctx, theirs, urls)
	if err != nil {
		return nil, err
	}
	defer theirLoad.close()

	// Twice the time of other pairs: here the difference is the smallest.
	const least = 24
	slice := b.budget / least
	t, err := takeTurns(ctx, 2*b.budget, least,
		func(context.Context) (burst, error) { return ourLoad.run(slice) },
		func(context.Context) (burst, error) { return theirLoad.run(slice) })
	if err != nil {
		return nil, err
	}
	const against = "a bare net/http handler that writes the same bytes"
	ourRate, theirRate := t.typical(burst.rate)
	ourTail, theirTail := t.typical(burst.tail)
	return []row{
		{
			what: "warm resolve over HTTP, throughput", against: against, ratio: t.ratio(burst.rate), aim: atLeast(0.9),
			measured: fmt.Sprintf("%.0f / %.0f requests/s", ourRate, theirRate),
		},
		{
			what: "warm resolve over HTTP, p99", against: against, ratio: t.ratio(burst.tail), aim: atMost(2),
			measured: versus(time.Duration(ourTail), time.Duration(theirTail)),
		},
	}, nil
}

// serve serves handler on 127.0.0.1 with the limits of the real server.
func serve(ctx context.Context, handler http.Handler) (address string, stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(quiet().Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // its error is that stop was called
	}()
	return listener.Addr().String(), func() {
		_ = server.Close() // nobody waits for an answer any more
		<-done
	}, nil
}

// bareHandler returns a handler that answers everything as the server at address answers
// for page: the same headers, the same body.
func bareHandler(ctx context.Context, address, page string) (http.Handler, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+resolvePath(page), nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK || !bytes.HasPrefix(body, []byte(`{"url":`)) {
		return nil, fmt.Errorf("the server answered %s: %s", response.Status, body)
	}
	headers := response.Header.Clone()
	headers.Del("Date") // net/http sets these two
	headers.Del("Content-Length")
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), headers)
		_, _ = w.Write(body) // fails only when the client has gone
	}), nil
}

func resolvePath(page string) string { return "/api/v1/resolve?url=" + url.QueryEscape(page) }
