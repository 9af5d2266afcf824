package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Request is a request that a browser sent, as its proxy saw it.
type Request struct {
	Method string
	Host   string // with the port, as it was asked for; names that do not exist too
	URL    string // "" for CONNECT
	Header http.Header
}

// Handler answers a request in place of the server that it is for, and tells whether it did.
// The URL of the request is absolute.
type Handler func(w http.ResponseWriter, r *http.Request) bool

// Network is the proxy of a browser. It writes down every request and passes on those to
// addresses of this machine; all others, and CONNECT, are refused. Close it.
type Network struct {
	listener net.Listener
	server   *http.Server
	proxy    *httputil.ReverseProxy
	served   chan struct{} // closed when the listener's goroutine has ended

	mu       sync.Mutex // guards what follows
	requests []Request
	handlers []*Handler // the newest first
}

// StartNetwork starts a proxy on a free port of the loopback interface.
func StartNetwork(ctx context.Context) (*Network, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("browser: the proxy: %w", err)
	}
	silent := log.New(io.Discard, "", 0)
	n := &Network{
		listener: listener,
		served:   make(chan struct{}),
		proxy: &httputil.ReverseProxy{
			Rewrite:       func(*httputil.ProxyRequest) {}, // the URL is absolute already
			Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16},
			FlushInterval: -1,
			ErrorLog:      silent,
			// What the server did to the connection happens to the browser, too.
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		},
	}
	n.server = &http.Server{Handler: n, ReadHeaderTimeout: 30 * time.Second, ErrorLog: silent}
	go func() {
		defer close(n.served)
		_ = n.server.Serve(listener) // always ends with an error; Close waits for it
	}()
	return n, nil
}

// Address returns the host and port of the proxy.
func (n *Network) Address() string { return n.listener.Addr().String() }

// Close stops the proxy, cutting off what runs.
func (n *Network) Close() error {
	err := n.server.Close()
	<-n.served
	n.proxy.Transport.(*http.Transport).CloseIdleConnections()
	return err
}

// ServeHTTP answers a request of the browser.
func (n *Network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen := Request{Method: r.Method, Host: r.Host, Header: r.Header.Clone()}
	if r.Method != http.MethodConnect {
		seen.URL = r.URL.String()
	}
	n.mu.Lock()
	n.requests = append(n.requests, seen)
	handlers := slices.Clone(n.handlers)
	n.mu.Unlock()
	for _, handle := range handlers {
		if (*handle)(w, r) {
			return
		}
	}
	if r.Method == http.MethodConnect || !r.URL.IsAbs() || !isLoopback(r.URL.Hostname()) {
		http.Error(w, "only this machine can be reached", http.StatusForbidden)
		return
	}
	n.proxy.ServeHTTP(w, r)
}

// isLoopback tells whether a host is this machine, without asking for its name.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// Handle lets handle see every request first, before the handlers that are there. It returns
// what ends that.
func (n *Network) Handle(handle Handler) (remove func()) {
	added := &handle
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handlers = append([]*Handler{added}, n.handlers...)
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.handlers = slices.DeleteFunc(slices.Clone(n.handlers), func(other *Handler) bool { return other == added })
	}
}

// Requests returns everything that was asked for, the oldest first.
func (n *Network) Requests() []Request {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.requests)
}

// Elsewhere returns an error that names the requests to other hosts than these ("host:port").
func (n *Network) Elsewhere(hosts ...string) error {
	var errs []error
	for _, r := range n.Requests() {
		if !slices.Contains(hosts, r.Host) {
			errs = append(errs, fmt.Errorf("the browser asked %s: %s %s", r.Host, r.Method, r.URL))
		}
	}
	return errors.Join(errs...)
}
