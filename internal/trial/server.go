package trial

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"example.com/signpost/api/apitest"
	"example.com/signpost/resolver"
)

// AdminToken opens the administrators' part of the API of the servers of trials.
const AdminToken = "admin-token-of-the-tests"

// Client sends the requests of trials. It uses no proxy: everything is on this machine.
var Client = &http.Client{
	Timeout:       Patience,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 16},
}

// Server is a signpost serve under trial. Safe for concurrent use.
type Server struct {
	*Process
	URL string
}

// StartServer starts signpost serve on a free port and waits until it answers. The caller stops it.
func (p Place) StartServer(args ...string) (*Server, error) {
	return StartServer(p.Dir, p.Env, p.Signpost, args...)
}

// StartServer starts program as signpost serve, likewise.
func StartServer(dir string, env []string, program string, args ...string) (*Server, error) {
	env = append(slices.Clip(env), "SIGNPOST_ADMIN_TOKEN="+AdminToken, "SIGNPOST_LOG_FORMAT=json")
	p, err := Start(dir, env, io.Discard, program, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	if err != nil {
		return nil, err
	}
	s := &Server{Process: p}
	if err := s.WaitUntilServing(); err != nil {
		_ = p.cmd.Process.Kill()
		return nil, err
	}
	return s, nil
}

// WaitUntilServing waits until the server says where it answers.
func (s *Server) WaitUntilServing() error {
	return Eventually(func() error {
		select {
		case <-s.ended:
			return GiveUp(fmt.Errorf("signpost serve ended: %w\n%s", s.err, s.Log))
		default:
		}
		for line := range strings.Lines(s.Log.String()) {
			var entry struct{ Msg, Address string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "serving" {
				s.URL = entry.Address
				return nil
			}
		}
		return errors.New("signpost serve does not say that it serves")
	})
}

// AdminHeader are the headers of an administrator's request with a JSON body.
func AdminHeader() http.Header {
	return http.Header{"Authorization": {"Bearer " + AdminToken}, "Content-Type": {"application/json"}}
}

// Call sends a request to a server and holds the answer against the contract. Its body has been read.
func Call(method, address, body string, header http.Header) (*http.Response, string, error) {
	request, err := http.NewRequest(method, address, strings.NewReader(body)) //nolint:noctx // the client has a timeout
	if err != nil {
		return nil, "", err
	}
	maps.Copy(request.Header, header)
	response, err := Client.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, "", err
	}
	return response, string(text), apitest.Check(request, response, text)
}

// ask is Call for those who want the status and a header of the answer only. An answer other than want is a Problem.
func ask(method, address, body string, header http.Header, want int) (http.Header, string, error) {
	response, text, err := Call(method, address, body, header) //nolint:bodyclose // it has been
	if err == nil && response.StatusCode != want {
		err = &Problem{response.StatusCode, text}
	}
	if err != nil {
		return nil, "", err
	}
	return response.Header, text, nil
}

// Problem is an answer of the API other than 200.
type Problem struct {
	Status int
	Body   string
}

// Error implements error.
func (p *Problem) Error() string { return fmt.Sprintf("status %d: %s", p.Status, p.Body) }

// Resolve asks for the link of a page. The error is a Problem where the API says one.
func (s *Server) Resolve(page string) (link resolver.Link, err error) {
	_, body, err := ask(http.MethodGet, s.URL+"/api/v1/resolve?url="+url.QueryEscape(page), "", nil, http.StatusOK)
	if err != nil {
		return link, err
	}
	return link, json.Unmarshal([]byte(body), &link)
}

// Sync asks for a fetch of the repository with a number now.
func (s *Server) Sync(number int64) error {
	address := fmt.Sprintf("%s/api/v1/repositories/%s:%d/sync", s.URL, ConnectionName, number)
	_, _, err := ask(http.MethodPost, address, "", AdminHeader(), http.StatusAccepted)
	return err
}

// PutConfig stores a site configuration in place of whatever is there.
func (s *Server) PutConfig(c Config) error {
	address := s.URL + "/api/v1/site-config"
	stored, _, err := ask(http.MethodGet, address, "", AdminHeader(), http.StatusOK)
	if err != nil {
		return err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	header := AdminHeader()
	header.Set("If-Match", stored.Get("Etag"))
	_, _, err = ask(http.MethodPut, address, string(text), header, http.StatusOK)
	return err
}
