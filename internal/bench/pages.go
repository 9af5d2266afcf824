package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"
)

const (
	listedRepositories = 20_000
	pageRows           = 1000 // the most that Bitbucket gives at once
)

// pageServer is a Bitbucket 9.4 that answers from memory: its pages are rendered before.
type pageServer struct {
	*httptest.Server
	pages [][]byte
	// delay is how long it thinks about a page.
	delay time.Duration
	count int // of its repositories
}

func newPageServer(delay time.Duration, count int) *pageServer {
	s := &pageServer{delay: delay, count: count}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.answer))
	s.Start()
	for start := 0; start < count; start += pageRows {
		s.pages = append(s.pages, s.render(start))
	}
	return s
}

func (s *pageServer) answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	switch strings.TrimPrefix(r.URL.Path, "/rest/api/1.0/") {
	case "application-properties":
		_, _ = w.Write([]byte(`{"version":"9.4.0","buildNumber":"9004000","displayName":"Bitbucket"}`))
	case "users":
		w.Header().Set("X-AUSERNAME", "signpost-bot")
		_, _ = w.Write([]byte(`{"size":0,"limit":1,"isLastPage":true,"values":[],"start":0}`))
	case "repos":
		start, _ := strconv.Atoi(r.URL.Query().Get("start"))
		if start%pageRows != 0 || start/pageRows >= len(s.pages) {
			http.Error(w, "no such page", http.StatusBadRequest)
			return
		}
		time.Sleep(s.delay)
		page := s.pages[start/pageRows]
		w.Header().Set("Content-Length", strconv.Itoa(len(page)))
		_, _ = w.Write(page) // fails only when the client has gone
	default:
		http.NotFound(w, r)
	}
}

// render returns the page that begins at start, with the keys of a recorded one.
func (s *pageServer) render(start int) []byte {
	type (
		object = map[string]any
		list   = []any
	)
	rows := make(list, 0, pageRows)
	for i := start; i < min(start+pageRows, s.count); i++ {
		a := address(firstRepository + i)
		rows = append(rows, object{
			"slug": a.Slug, "id": firstRepository + i, "name": a.Slug, "hierarchyId": fmt.Sprintf("%020x", i), "scmId": "git",
			"state": "AVAILABLE", "statusMessage": "Available", "forkable": true, "public": false, "archived": false,
			"project": object{
				"key": a.Key, "id": i / 50, "name": "Project " + a.Key, "description": "What the people of " + a.Key + " work on",
				"public": false, "type": "NORMAL", "links": object{"self": list{object{"href": s.URL + "/projects/" + a.Key}}},
			},
			"links": object{
				"clone": list{
					object{"href": "ssh://git@bitbucket.example.com:7999/" + strings.ToLower(a.String()) + ".git", "name": "ssh"},
					object{"href": s.URL + "/scm/" + strings.ToLower(a.String()) + ".git", "name": "http"},
				},
				"self": list{object{"href": s.URL + "/projects/" + a.Key + "/repos/" + a.Slug + "/browse"}},
			},
		})
	}
	page := object{"size": len(rows), "limit": pageRows, "start": start, "isLastPage": true, "values": rows}
	if next := start + pageRows; next < s.count {
		page["isLastPage"], page["nextPageStart"] = false, next
	}
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(page); err != nil {
		panic(err) // it holds strings, numbers and booleans only
	}
	return text.Bytes()
}
