package bitbuckettest

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Proxy is an HTTP proxy that leads names to servers of this machine, so that a client
// reaches https://bitbucket.example.com/ through HTTPS_PROXY, byte for byte. It knows
// CONNECT and plain http, and never dials an address that it was not given.
type Proxy struct {
	listener net.Listener
	http     *http.Server
	served   chan struct{}

	mu       sync.Mutex
	routes   map[string]string
	targets  []string
	tunnels  map[net.Conn]struct{}
	stopping bool
}

// maxTargets bounds what a Proxy remembers.
const maxTargets = 1024

// StartProxy starts a proxy on a free port of the loopback interface. The routes lead from
// host:port, as clients ask for it, to the host:port to dial.
func StartProxy(routes map[string]string) (*Proxy, error) { return startProxyOn("127.0.0.1:0", routes) }

func startProxyOn(listen string, routes map[string]string) (*Proxy, error) {
	listener, err := listenOn(listen)
	if err != nil {
		return nil, fmt.Errorf("bitbuckettest: proxy: %w", err)
	}
	p := &Proxy{listener: listener, served: make(chan struct{}), routes: map[string]string{}, tunnels: map[net.Conn]struct{}{}}
	for from, to := range routes {
		p.routes[strings.ToLower(from)] = to
	}
	p.http = &http.Server{Handler: p, ReadHeaderTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	go func() {
		defer close(p.served)
		_ = p.http.Serve(listener) // always ends with an error; Close waits for it
	}()
	return p, nil
}

// URL returns what HTTP_PROXY and HTTPS_PROXY are to be set to.
func (p *Proxy) URL() string { return "http://" + p.listener.Addr().String() }

// ProxyURL is URL in the form that http.ProxyURL and http.Transport want.
func (p *Proxy) ProxyURL() *url.URL {
	return &url.URL{Scheme: "http", Host: p.listener.Addr().String()}
}

// Route adds or changes a route; an empty to removes it.
func (p *Proxy) Route(from, to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if to == "" {
		delete(p.routes, strings.ToLower(from))
		return
	}
	p.routes[strings.ToLower(from)] = to
}

// Routes returns the names that the proxy knows, sorted.
func (p *Proxy) Routes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.routes))
}

// Targets returns the host:port of the last requests, the oldest first, refused ones included.
func (p *Proxy) Targets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.targets)
}

// Close stops the proxy and cuts what runs through it.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.stopping = true
	for conn := range p.tunnels {
		_ = conn.Close() // whoever copies notices
	}
	p.mu.Unlock()
	err := p.http.Close()
	<-p.served
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// lookup finds where a target leads to, and remembers it.
func (p *Proxy) lookup(target string) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.targets) >= maxTargets {
		p.targets = slices.Delete(p.targets, 0, 1)
	}
	p.targets = append(p.targets, target)
	to, ok := p.routes[strings.ToLower(target)]
	return to, ok
}

// ServeHTTP is the proxy's side towards its clients.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		p.tunnel(w, r)
		return
	}
	if !r.URL.IsAbs() {
		http.Error(w, "this is a proxy", http.StatusBadRequest)
		return
	}
	target := r.URL.Host
	if r.URL.Port() == "" {
		target = net.JoinHostPort(r.URL.Hostname(), cmp.Or(map[string]string{"https": "443"}[r.URL.Scheme], "80"))
	}
	to, ok := p.lookup(target)
	if !ok {
		http.Error(w, "the proxy knows no "+target, http.StatusBadGateway)
		return
	}
	forward := &httputil.ReverseProxy{
		Rewrite:       func(out *httputil.ProxyRequest) { out.Out.URL.Host = to; out.Out.Host = r.Host },
		FlushInterval: -1,
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
	forward.ServeHTTP(w, r)
}

// tunnel answers CONNECT and copies both ways until one side ends.
func (p *Proxy) tunnel(w http.ResponseWriter, r *http.Request) {
	to, ok := p.lookup(r.Host)
	if !ok {
		http.Error(w, "the proxy knows no "+r.Host, http.StatusBadGateway)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = server.Close()
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if !p.keep(client, server) {
		return
	}
	defer p.drop(client, server)
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	copyBoth(client, server, buffered.Reader)
}

func (p *Proxy) keep(connections ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range connections {
		if p.stopping {
			_ = conn.Close()
			continue
		}
		p.tunnels[conn] = struct{}{}
	}
	return !p.stopping
}

func (p *Proxy) drop(connections ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range connections {
		delete(p.tunnels, conn)
		_ = conn.Close() // the second time, after Close
	}
}

// copyBoth ends when either side has ended, so that no connection is left half open.
func copyBoth(client, server net.Conn, fromClient *bufio.Reader) {
	done := make(chan struct{}, 2)
	go func() {
		_, _ = io.Copy(server, fromClient)
		done <- struct{}{}
	}()
	go func() {
		_, _ = io.Copy(client, server)
		done <- struct{}{}
	}()
	<-done
	_, _ = client.Close(), server.Close()
	<-done
}
