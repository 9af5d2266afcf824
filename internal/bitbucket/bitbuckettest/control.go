package bitbuckettest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// control lets another process command the servers that Main runs: JSON in, JSON out. What
// concerns one server goes to the first, or to the one that ?server= names.
//
//	POST   /control/fault           a Fault ("delay" is a text such as "2s")
//	DELETE /control/fault           removes all faults
//	GET    /control/requests        the last requests
//	DELETE /control/requests        forgets them
//	GET    /control/running         how many requests of each kind are being answered
//	GET    /control/answering       the paths of the requests that are being answered
//	POST   /control/push            {"repository", "history"}; answers the hashes
//	POST   /control/branch          {"repository", "branch", "action": "delete"|"rename"|"set"|"default", "to"}
//	POST   /control/rename          {"from", "to"}: KEY/slug
//	POST   /control/rename-project  {"from", "to"}: keys
//	POST   /control/move            the move of the link world
//	POST   /control/repository      a Repository
//	DELETE /control/repository      {"repository"}
//	POST   /control/change          {"repository", and any of "state", "archived", "public", "labels"}
//	POST   /control/project         a Project
//	POST   /control/user            a User
//	POST   /control/password        {"user", "password"}
//	POST   /control/tokens          {"user", "tokens"}
//	POST   /control/ssh-keys        {"user", "keys"}: lines of authorized_keys
//	POST   /control/captcha         {"user"}: as if the CAPTCHA had been solved
//	POST   /control/readers         {"of": key or KEY/slug, "readers": names or null}
//	POST   /control/pull-request    {"repository", "pullRequest"}
//	POST   /control/close-pull-request {"repository", "number", "merged"}
//	POST   /control/admins          {"of": key or KEY/slug, "admins": names}
//	POST   /control/webhook         {"of": key or KEY/slug, "webhook": a Webhook}
//	POST   /control/webhooks        {"of": key or KEY/slug}; answers its webhooks
//	POST   /control/deliver         sends a delivery as it is told; see rawDelivery
//	GET    /control/deliveries      what was delivered last, when nothing is under way
//	POST   /control/stop            ends the process
type control struct {
	listener net.Listener
	http     *http.Server
	served   chan struct{}
	servers  map[string]*Server
	closer   io.Closer    // of the servers
	move     func() error // nil outside the link world
	stopped  chan struct{}
	stop     func()
}

func newControl(listen string) (*control, error) {
	listener, err := listenOn(listen)
	if err != nil {
		return nil, fmt.Errorf("bitbuckettest: control: %w", err)
	}
	c := &control{listener: listener, served: make(chan struct{}), servers: map[string]*Server{}, stopped: make(chan struct{})}
	c.stop = sync.OnceFunc(func() { close(c.stopped) })
	return c, nil
}

// start answers from here on and returns the address.
func (c *control) start() string {
	c.http = &http.Server{Handler: c.routes(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute}
	go func() {
		defer close(c.served)
		_ = c.http.Serve(c.listener) // always ends with an error; close waits for it
	}()
	return "http://" + c.listener.Addr().String()
}

func (c *control) close() error {
	var err error
	if c.http != nil {
		// What is being answered is answered: that of /control/stop, too.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if c.http.Shutdown(ctx) != nil {
			err = c.http.Close()
		}
		<-c.served
	} else {
		err = c.listener.Close()
	}
	if c.closer != nil {
		err = errors.Join(err, c.closer.Close())
	}
	return err
}

// timedFault is a Fault whose delay is a text.
type timedFault struct {
	Fault
	Delay string `json:"delay"`
}

func (c *control) routes() http.Handler {
	mux := http.NewServeMux()
	handle(c, mux, "POST /control/fault", func(s *Server, in timedFault) (any, error) {
		if in.Delay != "" {
			delay, err := time.ParseDuration(in.Delay)
			if err != nil {
				return nil, err
			}
			in.Fault.Delay = delay
		}
		s.Fault(in.Fault)
		return nil, nil
	})
	handle(c, mux, "DELETE /control/fault", func(s *Server, _ struct{}) (any, error) { s.ClearFaults(); return nil, nil })
	handle(c, mux, "GET /control/requests", func(s *Server, _ struct{}) (any, error) { return s.Requests(), nil })
	handle(c, mux, "DELETE /control/requests", func(s *Server, _ struct{}) (any, error) { s.ClearRequests(); return nil, nil })
	handle(c, mux, "GET /control/running", func(s *Server, _ struct{}) (any, error) { return s.Running(), nil })
	handle(c, mux, "GET /control/answering", func(s *Server, _ struct{}) (any, error) { return s.Answering(), nil })
	c.historyRoutes(mux)
	c.worldRoutes(mux)
	c.webhookRoutes(mux)
	mux.HandleFunc("POST /control/stop", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
		c.stop()
	})
	return mux
}

// historyRoutes are those that change what repositories hold.
func (c *control) historyRoutes(mux *http.ServeMux) {
	handle(c, mux, "POST /control/push", func(s *Server, in struct {
		Repository string
		History    History
	},
	) (any, error) {
		return s.Push(in.Repository, in.History)
	})
	handle(c, mux, "POST /control/branch", func(s *Server, in struct{ Repository, Branch, Action, To string }) (any, error) {
		switch in.Action {
		case "delete":
			return nil, s.DeleteBranch(in.Repository, in.Branch)
		case "rename":
			return nil, s.RenameBranch(in.Repository, in.Branch, in.To)
		case "set":
			return nil, s.SetBranch(in.Repository, in.Branch, in.To)
		case "default":
			return nil, s.SetDefaultBranch(in.Repository, in.Branch)
		}
		return nil, fmt.Errorf("there is no action %q: want delete, rename, set or default", in.Action)
	})
	handle(c, mux, "POST /control/pull-request", func(s *Server, in struct {
		Repository  string
		PullRequest PullRequest
	},
	) (any, error) {
		return s.AddPullRequest(in.Repository, in.PullRequest)
	})
}

// worldRoutes are those that change which repositories, projects and accounts there are.
func (c *control) worldRoutes(mux *http.ServeMux) {
	type names struct{ From, To string }
	handle(c, mux, "POST /control/rename", func(s *Server, in names) (any, error) { return nil, s.Rename(in.From, in.To) })
	handle(c, mux, "POST /control/rename-project", func(s *Server, in names) (any, error) { return nil, s.RenameProject(in.From, in.To) })
	handle(c, mux, "POST /control/move", func(*Server, struct{}) (any, error) {
		if c.move == nil {
			return nil, errors.New("only the link world has something to move")
		}
		return nil, c.move()
	})
	handle(c, mux, "POST /control/repository", func(s *Server, in Repository) (any, error) { return s.AddRepository(in) })
	handle(c, mux, "DELETE /control/repository", func(s *Server, in struct{ Repository string }) (any, error) {
		return nil, s.Delete(in.Repository)
	})
	handle(c, mux, "POST /control/change", func(s *Server, in struct {
		Repository string
		State      string
		Archived   *bool
		Public     *bool
		Labels     *[]string
	},
	) (any, error) {
		return nil, s.Change(in.Repository, func(r *Repository) {
			if in.State != "" {
				r.State = in.State
			}
			if in.Archived != nil {
				r.Archived = *in.Archived
			}
			if in.Public != nil {
				r.Public = *in.Public
			}
			if in.Labels != nil {
				r.Labels = *in.Labels
			}
		})
	})
	handle(c, mux, "POST /control/project", func(s *Server, in Project) (any, error) { return s.AddProject(in) })
	handle(c, mux, "POST /control/user", func(s *Server, in User) (any, error) { return s.AddUser(in) })
	type account struct {
		User     string
		Password string
		Tokens   []string
		Keys     []string
	}
	handle(c, mux, "POST /control/password", func(s *Server, in account) (any, error) { return nil, s.SetPassword(in.User, in.Password) })
	handle(c, mux, "POST /control/tokens", func(s *Server, in account) (any, error) { return nil, s.SetTokens(in.User, in.Tokens...) })
	handle(c, mux, "POST /control/ssh-keys", func(s *Server, in account) (any, error) { return nil, s.SetSSHKeys(in.User, in.Keys...) })
	handle(c, mux, "POST /control/captcha", func(s *Server, in account) (any, error) { return nil, s.ClearCaptcha(in.User) })
	handle(c, mux, "POST /control/readers", func(s *Server, in struct {
		Of      string
		Readers []string
	},
	) (any, error) {
		return nil, s.SetReaders(in.Of, in.Readers)
	})
}

// handle adds an endpoint whose body is an In and whose answer is what do returns.
func handle[In any](c *control, mux *http.ServeMux, pattern string, do func(*Server, In) (any, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		out, err := func() (any, error) {
			name := r.URL.Query().Get("server")
			if name == "" {
				name = "first"
			}
			s := c.servers[name]
			if s == nil {
				return nil, fmt.Errorf("there is no server %q", name)
			}
			var in In
			decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequestBody))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&in); err != nil && !errors.Is(err, io.EOF) { // a body may be missing
				return nil, fmt.Errorf("the body: %w", err)
			}
			return do(s, in)
		}()
		status := http.StatusOK
		switch {
		case err != nil:
			status, out = http.StatusBadRequest, map[string]string{"error": err.Error()}
		case out == nil:
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(out) // fails only when the client has gone
	})
}
