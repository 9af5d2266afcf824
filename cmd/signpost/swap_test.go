package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/trial"
	"example.com/signpost/resolver"
)

// While 8 clients resolve without pause, the primary URL is changed 50 times. No answer
// that begins after a PUT returned carries an older primary, and none fails.
func TestPrimaryURLChangesUnderLoad(t *testing.T) {
	t.Parallel()
	w := startDemoWorld(t, "8.19", "https://sg-0.example.com", 100)

	var returned atomic.Int64 // the newest primary whose PUT has returned
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var answers atomic.Int64
	for client := range 8 {
		clients.Go(func() {
			for i := client; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				atLeast := returned.Load()
				sample := w.ready.Samples[i%len(w.ready.Samples)]
				urls, err := linksOf(w.server, sample.URL, i%4 == 0)
				if err != nil {
					t.Errorf("%s: %v", sample.URL, err)
					return
				}
				for _, link := range urls {
					if err := primaryAtLeast(link, atLeast); err != nil {
						t.Errorf("%s: %v", sample.URL, err)
						return
					}
				}
				answers.Add(1)
			}
		})
	}
	for n := int64(1); n <= 50; n++ {
		body := fmt.Sprintf(`{"primaryURL":"https://sg-%d.example.com"}`, n)
		response, text, err := call(http.MethodPut, w.url+"/api/v1/primary-url", body, admin())
		if err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("PUT %d: %v %s", n, err, text)
			break
		}
		returned.Store(n)
		for seen := answers.Load(); answers.Load() < seen+8 && !t.Failed(); { // clients answer in between
			if err := primaryNow(w.server, w.ready.Samples[0].URL, n); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	clients.Wait()
	if answers.Load() < 400 {
		t.Errorf("only %d answers were looked at", answers.Load())
	}
	if err := w.stop(interrupt); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, w.stderr)
	}
}

// linksOf returns every address in the answer for a page, asked alone or in a batch.
func linksOf(s *server, page string, batch bool) ([]string, error) {
	var links []*resolver.Link
	if batch {
		body, err := json.Marshal(map[string][]string{"urls": {page, page}})
		if err != nil {
			return nil, err
		}
		response, text, err := call(http.MethodPost, s.url+"/api/v1/resolve", string(body), http.Header{"Content-Type": {"application/json"}})
		if err != nil {
			return nil, err
		}
		var answer struct {
			Results []struct{ Link *resolver.Link }
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			return nil, err
		}
		for _, result := range answer.Results {
			links = append(links, result.Link)
		}
		if response.StatusCode != http.StatusOK || len(links) != 2 || links[0] == nil || links[1] == nil {
			return nil, fmt.Errorf("%d %s", response.StatusCode, text)
		}
	} else {
		response, text, err := call(http.MethodGet, s.url+"/api/v1/resolve?url="+url.QueryEscape(page), "", nil)
		if err != nil {
			return nil, err
		}
		link := new(resolver.Link)
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%d %s", response.StatusCode, text)
		}
		if err := json.Unmarshal([]byte(text), link); err != nil {
			return nil, err
		}
		links = append(links, link)
	}
	var all []string
	for _, link := range links {
		all = append(all, link.URL)
		for _, each := range link.Links {
			all = append(all, each)
		}
	}
	return all, nil
}

// primaryAtLeast checks that a link begins with https://sg-N.example.com/ for an N that is n or newer.
func primaryAtLeast(link string, n int64) error {
	var got int64
	rest, ok := strings.CutPrefix(link, "https://sg-")
	number, _, ok2 := strings.Cut(rest, ".example.com/")
	if _, err := fmt.Sscanf(number, "%d", &got); err != nil || !ok || !ok2 {
		return fmt.Errorf("%q does not begin with any primary URL", link)
	}
	if got < n {
		return fmt.Errorf("%q carries primary %d after %d was set", link, got, n)
	}
	return nil
}

func primaryNow(s *server, page string, n int64) error {
	links, err := linksOf(s, page, false)
	if err != nil {
		return err
	}
	for _, link := range links {
		if err := primaryAtLeast(link, n); err != nil {
			return err
		}
	}
	return nil
}

// putConfig stores a configuration on a fresh server.
func putConfig(t *testing.T, s *server, config configJSON) {
	t.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	header := admin()
	header.Set("If-Match", `"0"`)
	response, body, err := call(http.MethodPut, s.url+"/api/v1/site-config", string(text), header)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("PUT site-config: %v %s", err, body)
	}
}

// waitForMirrors waits until every sample has a link, and those of files know their commit.
func waitForMirrors(t *testing.T, s *server, samples []bitbuckettest.Sample) {
	t.Helper()
	for _, sample := range samples {
		err := eventually(func() error {
			response, text, err := call(http.MethodGet, s.url+"/api/v1/resolve?url="+url.QueryEscape(sample.URL), "", nil)
			if err != nil {
				return trial.GiveUp(err)
			}
			var link resolver.Link
			if response.StatusCode != http.StatusOK || json.Unmarshal([]byte(text), &link) != nil {
				return fmt.Errorf("%s: %d %s\n%s", sample.URL, response.StatusCode, text, s.stderr)
			}
			if link.Kind == "blob" && link.Commit == "" {
				return fmt.Errorf("%s is not mirrored yet: %s\n%s", sample.URL, text, s.stderr)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
