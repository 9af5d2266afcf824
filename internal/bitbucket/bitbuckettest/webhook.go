package bitbuckettest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Webhook is a webhook of a repository or of a project. Versions before 5.4 have none: one that is
// added to them is of a plugin, whose deliveries have its shape.
type Webhook struct {
	ID     int64 // the next free number if 0
	Name   string
	URL    string
	Events []string // "repo:refs_changed", ...
	Secret string   // deliveries are signed with it; "" for none
	Off    bool     // not active
}

type webhook struct {
	Webhook
	project    *project // whose it is; nil for a repository's
	repository *repository
	created    time.Time
	updated    time.Time
}

// concerns tells whether the hook is told of what happens to a repository.
func (h *webhook) concerns(r *repository) bool {
	return h.repository == r || h.project != nil && h.project == r.project
}

// webhookEvents are what can be subscribed to.
var webhookEvents = []string{
	"repo:refs_changed", "repo:modified", "repo:forked", "repo:comment:added", "repo:comment:edited", "repo:comment:deleted",
	"mirror:repo_synchronized", "pr:opened", "pr:from_ref_updated", "pr:modified", "pr:reviewer:updated", "pr:reviewer:approved",
	"pr:reviewer:unapproved", "pr:reviewer:needs_work", "pr:merged", "pr:declined", "pr:deleted",
	"pr:comment:added", "pr:comment:edited", "pr:comment:deleted",
}

// AddWebhook adds a webhook to a project (its key) or to a repository (KEY/slug), as an
// administrator does by hand, and returns it with its number.
func (s *Server) AddWebhook(where string, w Webhook) (Webhook, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &webhook{Webhook: w}
	if strings.Contains(where, "/") {
		r, err := s.repositoryAt(where)
		if err != nil {
			return Webhook{}, err
		}
		h.repository = r
	} else if h.project = s.projects[strings.ToLower(where)]; h.project == nil {
		return Webhook{}, fmt.Errorf("bitbuckettest: there is no project %s", where)
	}
	s.addWebhook(h)
	return h.Webhook, nil
}

// Webhooks returns the webhooks of a project (its key) or of a repository (KEY/slug).
func (s *Server) Webhooks(where string) []Webhook {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []Webhook
	for _, h := range s.webhooks {
		if h.repository != nil && strings.EqualFold(where, h.repository.description().Address()) || h.project != nil && strings.EqualFold(where, h.project.Key) {
			found = append(found, h.Webhook)
		}
	}
	return found
}

// SetAdmins says which accounts administer a project (its key) or one repository (KEY/slug), beside
// the owner and the administrators.
func (s *Server) SetAdmins(where string, names ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.Contains(where, "/") {
		r, err := s.repositoryAt(where)
		if err != nil {
			return err
		}
		r.admins = names
		return nil
	}
	p := s.projects[strings.ToLower(where)]
	if p == nil {
		return fmt.Errorf("bitbuckettest: there is no project %s", where)
	}
	p.admins = names
	return nil
}

// addWebhook is called with mu held.
func (s *Server) addWebhook(h *webhook) {
	if h.ID == 0 {
		s.lastWebhookID++
		h.ID = s.lastWebhookID
	}
	s.lastWebhookID = max(s.lastWebhookID, h.ID)
	h.created = s.now()
	h.updated = h.created
	s.webhooks = append(s.webhooks, h)
}

// isWebhooks tells whether a request may change something: webhooks are the one thing that can
// be changed by REST.
func (c *call) isWebhooks() bool {
	i := slices.Index(c.parts, "webhooks")
	return c.server.switches.webhooks && i >= 5 && len(c.parts) <= i+2
}

// created is an answer to a POST that made something.
type created struct{ value any }

// mayWebhooks tells whether the caller has PROJECT_ADMIN, or REPO_ADMIN where r is not nil. Called
// with mu held.
func (s *Server) mayWebhooks(c caller, p *project, r *repository) bool {
	if s.mayAdmin(c, p) {
		return true
	}
	return c.user != nil && (containsFold(p.admins, c.user.Name) || r != nil && containsFold(r.admins, c.user.Name))
}

// webhooksOf answers below projects/KEY/webhooks (then r is nil) and repos/SLUG/webhooks.
func (c *call) webhooksOf(p *project, r *repository, parts []string) (any, error) {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []*webhook
	for _, h := range s.webhooks {
		if r != nil && h.repository == r || r == nil && h.project == p {
			rows = append(rows, h)
		}
	}
	method := c.r.Method
	if len(parts) == 0 {
		if method == http.MethodPost {
			h := &webhook{repository: r}
			if r == nil {
				h.project = p
			}
			if err := c.readWebhook(h); err != nil {
				return nil, err
			}
			s.addWebhook(h)
			return created{c.webhookObject(h)}, nil
		}
		return c.listing("webhooks", len(rows), func(row int) any { return c.webhookObject(rows[row]) })
	}
	i := slices.IndexFunc(rows, func(h *webhook) bool { return strconv.FormatInt(h.ID, 10) == parts[0] })
	if i < 0 {
		return nil, notFound("webhooks.NoSuchWebhookException", "Webhook %s does not exist.", parts[0])
	}
	h := rows[i]
	switch method {
	case http.MethodPut:
		changed := *h
		if err := c.readWebhook(&changed); err != nil {
			return nil, err
		}
		*h = changed
		h.updated = s.now()
	case http.MethodDelete:
		s.webhooks = slices.DeleteFunc(s.webhooks, func(other *webhook) bool { return other == h })
		return noContent{}, nil
	}
	return c.webhookObject(h), nil
}

// readWebhook reads the body of a POST or PUT into h.
func (c *call) readWebhook(h *webhook) error {
	if kind := c.r.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") && c.r.Header.Get("X-Atlassian-Token") != "no-check" {
		return &restError{status: http.StatusForbidden, message: "XSRF check failed"}
	}
	var body struct {
		Name          string   `json:"name"`
		URL           string   `json:"url"`
		Events        []string `json:"events"`
		Active        *bool    `json:"active"`
		Configuration struct {
			Secret string `json:"secret"`
		} `json:"configuration"`
	}
	if err := json.NewDecoder(c.r.Body).Decode(&body); err != nil {
		return badRequest("", "The request body could not be read: %s", err)
	}
	target, err := url.Parse(body.URL)
	switch {
	case body.Name == "":
		return badRequest("name", "A name is required.")
	case err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https":
		return badRequest("url", "The URL is not valid.")
	case len(body.Events) == 0:
		return badRequest("events", "At least one event is required.")
	}
	for _, event := range body.Events {
		if !slices.Contains(webhookEvents, event) || event == "pr:from_ref_updated" && !c.server.switches.fromRefUpdated {
			return badRequest("events", "%s is not an event.", event)
		}
	}
	h.Name, h.URL, h.Events, h.Secret = body.Name, body.URL, body.Events, body.Configuration.Secret
	h.Off = body.Active != nil && !*body.Active
	return nil
}

func (c *call) webhookObject(h *webhook) object {
	events := list{}
	for _, event := range h.Events {
		events = append(events, event)
	}
	scope := "repository"
	if h.project != nil {
		scope = "project"
	}
	return object{
		field("id", h.ID),
		field("name", h.Name),
		field("createdDate", millis(h.created)),
		field("updatedDate", millis(h.updated)),
		field("events", events),
		field("configuration", object{optional("secret", h.Secret, h.Secret != "")}),
		field("url", h.URL),
		field("active", !h.Off),
		optional("scopeType", scope, c.server.switches.projectWebhooks),
		optional("sslVerificationRequired", true, c.server.switches.projectWebhooks),
	}
}

// testWebhook sends a ping to the address that ?url= names, unsigned, and tells what came back.
func (c *call) testWebhook() (any, error) {
	target := c.query.Get("url")
	if target == "" {
		return nil, badRequest("url", "The URL is not valid.")
	}
	d := c.server.send(delivery{url: target, event: "diagnostics:ping", body: []byte(`{"test": true}`)})
	if d.Error != "" {
		return nil, &restError{status: http.StatusInternalServerError, message: d.Error}
	}
	return object{
		field("request", object{field("url", target), field("body", `{"test": true}`), field("method", "POST")}),
		field("response", object{field("statusCode", d.Status)}),
	}, nil
}

// webhookRequest finds whose webhooks a request is about.
func (c *call) webhookRequest(key, slug string, parts []string) (any, error) {
	s := c.server
	s.mu.RLock()
	var (
		p   *project
		r   *repository
		err error
	)
	if slug == "" {
		p, err = c.findProject(key)
	} else if r, err = c.findRepository(key, slug); err == nil {
		p = r.project
	}
	permitted := err == nil && s.mayWebhooks(c.caller, p, r)
	s.mu.RUnlock()
	switch {
	case err != nil:
		return nil, err
	case !permitted:
		return nil, errNotPermitted
	case len(parts) == 1 && parts[0] == "test" && c.r.Method == http.MethodPost:
		return c.testWebhook()
	}
	return c.webhooksOf(p, r, parts)
}

// errNoUser means that nobody can have done what a delivery tells of.
var errNoUser = errors.New("bitbuckettest: a delivery needs a user")
