package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
)

func TestAListIsReadByNextPageStart(t *testing.T) {
	t.Parallel()
	type request struct{ uri, answer string }
	for _, c := range []struct {
		name  string
		steps []request // in order; another request fails
		want  string    // rows
	}{
		{"that counts rows which the account may not see", []request{
			{"list?limit=1000", `{"size":1,"limit":1000,"isLastPage":false,"values":[1],"start":0,"nextPageStart":2}`},
			{"list?limit=1000&start=2", `{"size":2,"limit":1000,"isLastPage":false,"values":[2,3],"start":2,"nextPageStart":8}`},
			{"list?limit=1000&start=8", `{"size":1,"limit":1000,"isLastPage":true,"values":[4],"start":8}`},
		}, "[1,2,3,4]"},
		{"with the limit that the server lowered", []request{
			{"list?limit=1000", `{"size":1,"limit":25,"isLastPage":false,"values":[1],"start":0,"nextPageStart":25}`},
			{"list?limit=25&start=25", `{"size":1,"limit":3,"isLastPage":false,"values":[2],"start":25,"nextPageStart":28}`},
			{"list?limit=3&start=28", `{"size":1,"limit":500,"isLastPage":true,"values":[3],"start":28}`},
		}, "[1,2,3]"},
		{"over empty pages, to a null", []request{
			{"list?limit=1000", `{"values":[],"size":0,"isLastPage":false,"start":0,"limit":1000,"nextPageStart":1000}`},
			{"list?limit=1000&start=1000", `{"values":[1],"size":1,"isLastPage":true,"start":1000,"limit":1000,"nextPageStart":null}`},
		}, "[1]"},
		{"when the numbers are strings and little is told", []request{
			{"list?limit=1000", `{"isLastPage":false,"values":[1],"nextPageStart":"7"}`},
			{"list?limit=1000&start=7", `{"isLastPage":true,"values":[2],"limit":0,"start":"7"}`},
		}, "[1,2]"},
		{"that is empty", []request{{"list?limit=1000", `{"size":0,"limit":25,"start":0,"isLastPage":true,"values":[]}`}}, "[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := 0
			s := newServer(t, "8.0.0", routes{"list": func(w http.ResponseWriter, r *http.Request) {
				if n++; n > len(c.steps) {
					t.Errorf("question %d: %s", n, r.URL.RequestURI())
					return
				}
				body(200, c.steps[n-1].answer)(w, r)
			}})
			got := []json.RawMessage{}
			err := newClient(t, s.base()).eachPage(t.Context(), "list", "list", nil, func(rows []json.RawMessage) error {
				got = append(got, rows...)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if text, _ := json.Marshal(got); string(text) != c.want {
				t.Errorf("rows %s, want %s", text, c.want)
			}
			var want []string
			for _, step := range c.steps {
				want = append(want, step.uri)
			}
			if diff := cmp.Diff(want, s.asked()); diff != "" {
				t.Errorf("questions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAListThatContradictsItselfIsIncomplete(t *testing.T) {
	t.Parallel()
	first := body(200, `{"limit":2,"isLastPage":false,"values":[1,2],"start":0,"nextPageStart":2}`)
	for _, c := range []struct {
		name   string
		second http.HandlerFunc
		also   error
		says   string
	}{
		{"by repeating nextPageStart", body(200, `{"limit":2,"isLastPage":false,"values":[3,4],"start":2,"nextPageStart":2}`), nil, "the page at 2 is followed by the one at 2"},
		{"by lowering it", body(200, `{"limit":2,"isLastPage":false,"values":[3,4],"start":2,"nextPageStart":1}`), nil, "the page at 2 is followed by the one at 1"},
		{"by leaving it out", body(200, `{"limit":2,"isLastPage":false,"values":[3,4],"start":2}`), nil, "does not say where the next begins"},
		{"by a null", body(200, `{"limit":2,"isLastPage":false,"values":[3,4],"start":2,"nextPageStart":null}`), nil, "does not say where the next begins"},
		{"by leaving isLastPage out", body(200, `{"limit":2,"values":[3,4],"start":2,"nextPageStart":4}`), nil, "does not say whether it is the last"},
		{"by leaving the values out", body(200, `{"limit":2,"isLastPage":true,"start":2}`), nil, "has no values"},
		{"by another page than the one asked for", first, nil, "the page at 2 was asked for, and the one at 0 came"},
		{"by the same rows again", body(200, `{"limit":2,"isLastPage":true,"values":[1,2],"start":2}`), nil, "repeats an earlier one"},
		{"by nothing", body(204, ``), nil, "a page is empty"},
		{"by breaking off in the middle", body(200, `{"limit":2,"isLastPage":true,"values":[3,`), bitbucket.ErrUnavailable, "broken off"},
		{"by an error", body(500, `oops`), bitbucket.ErrUnavailable, "oops"},
		{"by not being there any more", body(404, ``), bitbucket.ErrNotFound, "404"},
		{"by a login page", file(t, 200, "login.html"), bitbucket.ErrNotBitbucket, "login page"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, "8.0.0", routes{"list": inTurn(first, c.second)})
			rows := 0
			err := newClient(t, s.base()).eachPage(t.Context(), "list", "list", nil, func(page []json.RawMessage) error {
				rows += len(page)
				return nil
			})
			want := []error{bitbucket.ErrIncompleteListing}
			if c.also != nil {
				want = append(want, c.also)
			}
			wantError(t, err, want, c.says)
			if rows != 2 {
				t.Errorf("%d rows were yielded, want the 2 of the first page", rows)
			}
		})
	}
}

func TestAListThatNeverEndsIsGivenUp(t *testing.T) {
	t.Parallel()
	c, s := offline(t, "8.0.0", routes{"list": func(w http.ResponseWriter, r *http.Request) {
		start, _ := strconv.Atoi(r.URL.Query().Get("start"))
		body(200, fmt.Sprintf(`{"isLastPage":false,"values":[],"start":%d,"nextPageStart":%d}`, start, start+1))(w, r)
	}})
	err := c.eachPage(t.Context(), "list", "list", url.Values{"name": {"a b"}}, func([]json.RawMessage) error { return nil })
	wantError(t, err, []error{bitbucket.ErrIncompleteListing}, "more than 10000 pages")
	if n := s.count("list"); n != maxPages {
		t.Errorf("%d questions, want %d", n, maxPages)
	}
}

func TestTheNextPageIsAskedForMeanwhile(t *testing.T) {
	t.Parallel()
	second := make(chan struct{})
	s := newServer(t, "8.0.0", routes{"list": func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("start") == "" {
			body(200, `{"isLastPage":false,"values":[1],"start":0,"nextPageStart":1}`)(w, r)
			return
		}
		close(second)
		body(200, `{"isLastPage":true,"values":[2],"start":1}`)(w, r)
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	pages := 0
	err := newClient(t, s.base()).eachPage(ctx, "list", "list", nil, func([]json.RawMessage) error {
		pages++
		select {
		case <-second:
			return nil
		case <-ctx.Done():
			return errors.New("the second page was not asked for while the first was worked on")
		}
	})
	if err != nil || pages != 2 {
		t.Errorf("%d pages, %v", pages, err)
	}
}

func TestTheErrorOfTheCallerEndsAList(t *testing.T) {
	t.Parallel()
	s := newServer(t, "8.0.0", routes{"list": body(200, `{"isLastPage":false,"values":[1],"start":0,"nextPageStart":1}`)})
	mine := errors.New("mine")
	err := newClient(t, s.base()).eachPage(t.Context(), "list", "list", nil, func([]json.RawMessage) error { return mine })
	wantError(t, err, []error{mine, bitbucket.ErrIncompleteListing})
}

// Whatever comes, a page is either usable or an error, and leads forward.
func FuzzDecodePage(f *testing.F) {
	f.Add([]byte(`{"size":1,"limit":25,"isLastPage":false,"values":[{"id":1}],"start":0,"nextPageStart":1}`), int64(0))
	f.Add([]byte(`{"isLastPage":true,"values":[],"start":"9","nextPageStart":null}`), int64(9))
	f.Add([]byte(`{"isLastPage":true}`), int64(0))
	f.Add([]byte(`[]`), int64(0))
	f.Add([]byte(`{"errors":[{"context":null,"message":"m","exceptionName":"a.b.C"}]}`), int64(0))
	c, err := New(Options{Connection: "bb", BaseURL: bitbucket.BaseURL{Scheme: "https", Host: "bitbucket.example.com"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte, start int64) {
		p, err := decodePage(text, start)
		if err == nil && !p.last && p.next <= start {
			t.Errorf("the page at %d leads to %d", start, p.next)
		}
		if err == nil && (p.limit < 0 || p.limit > pageLimit) {
			t.Errorf("limit %d", p.limit)
		}
		for _, row := range p.rows {
			var raw repositoryJSON
			if json.Unmarshal(row, &raw) != nil {
				continue
			}
			r, err := c.repository(raw)
			if err != nil {
				continue
			}
			if r.ID.Number <= 0 || r.Key == "" || r.Slug == "" || strings.Contains(r.Slug, "/") {
				t.Errorf("repository %+v", r)
			}
			if r.CloneHTTP != "" {
				u, err := url.Parse(r.CloneHTTP)
				if err != nil || u.Scheme != "https" || u.Host != "bitbucket.example.com" || u.User != nil || !c.owns(u) {
					t.Errorf("clone address %q: %v", r.CloneHTTP, err)
				}
			}
		}
	})
}

// Whatever comes, an envelope is read or not, and what is said of it is one short line.
func FuzzParseEnvelope(f *testing.F) {
	f.Add([]byte(`{"errors":[{"context":null,"message":"m","exceptionName":"com.atlassian.bitbucket.project.NoSuchProjectException"}]}`))
	f.Add([]byte(`{"errors":[{"context":"key","message":"a\u0000b\nc","exceptionName":null},{}]}`))
	f.Add([]byte("<html><title>x</title>"))
	clean := newCleaner(Options{})
	f.Fuzz(func(t *testing.T, text []byte) {
		e, ok := parseEnvelope(text)
		if !ok && e != (envelope{}) {
			t.Errorf("not an envelope, and yet %+v", e)
		}
		if strings.Contains(e.exception, ".") {
			t.Errorf("exception %q is no last segment", e.exception)
		}
		for _, line := range []string{clean.clean(e.message), clean.clean(pageTitle(text)), clean.clean(string(text))} {
			if strings.ContainsAny(line, "\n\r\x00\x1b") || len([]rune(line)) > maxQuoted {
				t.Errorf("not clean: %q", line)
			}
		}
	})
}
