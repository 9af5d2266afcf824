package bitbuckettest_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

func TestProxyLeadsToWhatItKnowsAlone(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{BaseURL: "http://bitbucket.example.com"})
	p, err := bitbuckettest.StartProxy(map[string]string{"Bitbucket.example.com:80": s.Addr(), "gone.example.com:443": "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{Proxy: http.ProxyURL(p.ProxyURL())}
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	ask := func(url string) (int, string, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("reader", "reader secret")
		res, err := client.Do(req)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close() //nolint:errcheck // read to its end
		body, err := io.ReadAll(res.Body)
		return res.StatusCode, string(body), err
	}
	status, body, err := ask("http://bitbucket.example.com/rest/api/1.0/projects/PRJ")
	if err != nil || status != http.StatusOK || !strings.Contains(body, `"href":"http://bitbucket.example.com/projects/PRJ"`) {
		t.Errorf("plain http: %d %s %v", status, body, err)
	}
	if last := s.Requests(); last[len(last)-1].Host != "bitbucket.example.com" {
		t.Errorf("the server was asked as %q", last[len(last)-1].Host)
	}
	if status, _, err := ask("http://elsewhere.example.com/"); err != nil || status != http.StatusBadGateway {
		t.Errorf("an unknown name: %d %v", status, err)
	}
	for _, url := range []string{"https://elsewhere.example.com/", "https://gone.example.com/"} {
		if _, _, err := ask(url); err == nil || !strings.Contains(err.Error(), "Bad Gateway") {
			t.Errorf("%s: %v", url, err)
		}
	}
	p.Route("elsewhere.example.com:80", s.Addr())
	if status, _, err := ask("http://elsewhere.example.com/rest/api/1.0/projects"); err != nil || status != http.StatusOK {
		t.Errorf("a new route: %d %v", status, err)
	}
	p.Route("elsewhere.example.com:80", "")
	if want := []string{"bitbucket.example.com:80", "gone.example.com:443"}; !slices.Equal(p.Routes(), want) {
		t.Errorf("routes: %v, want %v", p.Routes(), want)
	}
	want := []string{"bitbucket.example.com:80", "elsewhere.example.com:80", "elsewhere.example.com:443", "gone.example.com:443", "elsewhere.example.com:80"}
	if !slices.Equal(p.Targets(), want) {
		t.Errorf("targets: %v, want %v", p.Targets(), want)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	transport.CloseIdleConnections()
	if _, _, err := ask("http://bitbucket.example.com/"); err == nil {
		t.Error("the closed proxy answers")
	}
}

func TestProxyCutsItsTunnels(t *testing.T) {
	t.Parallel()
	w := startLinkWorld(t, bitbuckettest.LinkWorldOptions{Version: "6.10"})
	ended := make(chan int, 1)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodConnect, w.Proxy.URL(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = "bitbucket.example.com:443"
	req.Host = "bitbucket.example.com:443"
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("CONNECT: %s", res.Status)
	}
	go func() {
		n, _ := res.Body.Read(make([]byte, 1)) // the server waits for the client to begin
		ended <- n
	}()
	if err := w.Proxy.Close(); err != nil {
		t.Error(err)
	}
	select {
	case n := <-ended:
		if n != 0 {
			t.Error("the tunnel brought something")
		}
	case <-time.After(10 * time.Second):
		t.Error("the tunnel outlives the proxy")
	}
	res.Body.Close() //nolint:errcheck,gosec // ended
}
