package rest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/bitbucket/bitbuckettest/recordings"
	"example.com/signpost/internal/siteconfig"
)

const hookSecret = "canary/of the+hooks"

func withHookSecret(o *Options) { o.WebhookSecret = siteconfig.NewSecret(hookSecret) }

func TestWebhooksAgainstTheDouble(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"5.4", "7.21", "8.19", "9.4"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := double(t, bitbuckettest.Options{Version: version})
			c := newClient(t, s.URL(), withHookSecret)
			for _, of := range []WebhookOwner{{Key: "WEB", Slug: "app"}, {Key: "WEB"}} {
				if of.Slug == "" && !strings.HasPrefix(version, "8") && !strings.HasPrefix(version, "9") {
					_, err := c.Webhooks(t.Context(), of)
					wantError(t, err, []error{bitbucket.ErrNotFound})
					continue
				}
				_, err := c.Webhooks(t.Context(), of)
				wantError(t, err, []error{bitbucket.ErrForbidden}, "does not administer the "+of.scope()+" "+of.String())
				_, err = c.CreateWebhook(t.Context(), of, Webhook{Name: "n", URL: "https://s.example/x", Events: []string{"repo:refs_changed"}})
				wantError(t, err, []error{bitbucket.ErrForbidden})
				if err := s.SetAdmins(of.String(), botName); err != nil {
					t.Fatal(err)
				}
				wanted := Webhook{
					Name: "n", URL: "https://s.example/x", Events: []string{"repo:refs_changed", "pr:opened"}, Active: true, Secret: siteconfig.NewSecret(hookSecret),
				}
				made, err := c.CreateWebhook(t.Context(), of, wanted)
				if err != nil || made.ID == 0 {
					t.Fatalf("CreateWebhook: %+v, %v", made, err)
				}
				for n := range 3 { // more than a page has
					if _, err := s.AddWebhook(of.String(), bitbuckettest.Webhook{Name: "other", URL: fmt.Sprint("https://o.example/", n)}); err != nil {
						t.Fatal(err)
					}
				}
				all, err := c.Webhooks(t.Context(), of)
				if err != nil || len(all) != 4 {
					t.Fatalf("Webhooks: %+v, %v", all, err)
				}
				wanted.ID = made.ID
				if diff := cmp.Diff(wanted, all[0], cmp.AllowUnexported(siteconfig.Secret{})); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				wanted.Active, wanted.Events = false, []string{"pr:merged"}
				if changed, err := c.UpdateWebhook(t.Context(), of, wanted); err != nil || changed.Active || len(changed.Events) != 1 || changed.ID != made.ID {
					t.Errorf("UpdateWebhook: %+v, %v", changed, err)
				}
				_, err = c.UpdateWebhook(t.Context(), of, Webhook{ID: 4711, Name: "n", URL: "https://s.example", Events: wanted.Events})
				wantError(t, err, []error{bitbucket.ErrNotFound})
				for range 2 {
					if err := c.DeleteWebhook(t.Context(), of, made.ID); err != nil {
						t.Errorf("DeleteWebhook: %v", err)
					}
				}
				if all, err := c.Webhooks(t.Context(), of); err != nil || len(all) != 3 {
					t.Errorf("after the deletion: %+v, %v", all, err)
				}
			}
		})
	}
}

func TestWebhooksOfRecordings(t *testing.T) {
	t.Parallel()
	page := recordings.Read(t, "webhook-config-page-8.x.json")
	s := newServer(t, "8.19.0", routes{
		"projects/PRJ/repos/app/webhooks": body(http.StatusOK, page),
		"projects/PRJ/webhooks":           body(http.StatusOK, page),
		"projects/PRJ/repos/six/webhooks": body(http.StatusCreated, recordings.Read(t, "webhook-config-created.json")),
	})
	c := newClient(t, s.base())
	got, err := c.Webhooks(t.Context(), WebhookOwner{Key: "PRJ", Slug: "app"})
	if err != nil || len(got) != 1 || got[0].ID != 2 || !got[0].Active || got[0].SkipsTLS || !got[0].Secret.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := c.Webhooks(t.Context(), WebhookOwner{Key: "PRJ"}); err != nil || len(got) != 0 {
		t.Errorf("a repository's are not the project's: %+v, %v", got, err)
	}
	made, err := c.CreateWebhook(t.Context(), WebhookOwner{Key: "PRJ", Slug: "six"}, Webhook{Name: "WebhookName", URL: "http://example.com"})
	if err != nil || made.ID != 1 || made.Secret.Reveal() != "password" {
		t.Errorf("%+v, %v", made, err)
	}
}

// A POST that may have been heard is not sent again; one that was refused for its rate is, and so is a PUT.
func TestWebhooksAreNotMadeTwice(t *testing.T) {
	t.Parallel()
	var posts, puts, limited atomic.Int32
	s := newServer(t, "8.19.0", routes{
		"projects/PRJ/webhooks": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Atlassian-Token") != "no-check" || r.Header.Get("Content-Type") != "application/json" || r.Method != http.MethodPost {
				t.Errorf("%s with %v", r.Method, r.Header)
			}
			sent, err := io.ReadAll(r.Body)
			if err != nil || !strings.Contains(string(sent), `"secret":"canary/of the+hooks"`) || !strings.Contains(string(sent), `"active":true`) {
				t.Errorf("the body is %s, %v", sent, err)
			}
			posts.Add(1)
			body(http.StatusInternalServerError, `{"errors":[{"message":"the secret was `+hookSecret+`"}]}`)(w, r)
		},
		"projects/PRJ/webhooks/1": func(w http.ResponseWriter, r *http.Request) {
			if puts.Add(1) == 1 {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			body(http.StatusOK, `{"id":1,"name":"n"}`)(w, r)
		},
		"projects/LIM/webhooks": func(w http.ResponseWriter, r *http.Request) {
			if limited.Add(1) == 1 {
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			body(http.StatusOK, `{"id":3,"name":"n"}`)(w, r)
		},
	})
	c := newClient(t, s.base(), withHookSecret)
	hook := Webhook{Name: "n", URL: "https://s.example", Active: true, Events: []string{"x"}, Secret: siteconfig.NewSecret(hookSecret)}
	_, err := c.CreateWebhook(t.Context(), WebhookOwner{Key: "PRJ"}, hook)
	wantError(t, err, []error{bitbucket.ErrUnavailable}, "POST rest/api/1.0/projects/PRJ/webhooks")
	if posts.Load() != 1 || strings.Contains(fmt.Sprint(err), hookSecret) {
		t.Errorf("%d POSTs, and %v", posts.Load(), err)
	}
	hook.ID = 1
	if _, err := c.UpdateWebhook(t.Context(), WebhookOwner{Key: "PRJ"}, hook); err != nil || puts.Load() != 2 {
		t.Errorf("%d PUTs, and %v", puts.Load(), err)
	}
	if made, err := c.CreateWebhook(t.Context(), WebhookOwner{Key: "LIM"}, hook); err != nil || made.ID != 3 || limited.Load() != 2 {
		t.Errorf("%+v, %v after %d POSTs", made, err, limited.Load())
	}
	_, err = c.Webhooks(t.Context(), WebhookOwner{Key: "..", Slug: "x"})
	if !errors.Is(err, bitbucket.ErrNotFound) {
		t.Errorf("an impossible key: %v", err)
	}
}
