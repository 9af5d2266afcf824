package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

// Webhook is a webhook that is configured in Bitbucket, 5.4 or newer.
type Webhook struct {
	ID     int64 // 0 for one that is to be made
	Name   string
	URL    string // where it delivers to; it is the identity of ours
	Events []string
	Active bool
	Secret siteconfig.Secret // zero when there is none, or when Bitbucket does not tell
	// SkipsTLS tells that Bitbucket does not check the certificate of the URL. From 8.0 on.
	SkipsTLS bool
}

// WebhookOwner is the repository, or with an empty Slug the project, that webhooks belong to. Projects
// have them from 8.0 on.
type WebhookOwner bitbucket.Address

// String returns KEY, or KEY/slug.
func (o WebhookOwner) String() string {
	if o.Slug == "" {
		return o.Key
	}
	return bitbucket.Address(o).String()
}

func (o WebhookOwner) path(more ...string) (string, error) {
	parts := []string{"projects", o.Key}
	if o.Slug != "" {
		parts = append(parts, "repos", o.Slug)
	}
	return segments(append(append(parts, "webhooks"), more...)...)
}

// scope is the scopeType of the owner's own webhooks.
func (o WebhookOwner) scope() string {
	if o.Slug == "" {
		return "project"
	}
	return "repository"
}

// webhookJSON is a webhook as Bitbucket writes and reads it.
type webhookJSON struct {
	ID            number      `json:"id,omitempty"`
	Name          string      `json:"name"`
	URL           string      `json:"url"`
	Active        bool        `json:"active"`
	Events        []string    `json:"events"`
	Configuration hookSecrets `json:"configuration"`
	Scope         string      `json:"scopeType,omitempty"`
	ChecksTLS     *bool       `json:"sslVerificationRequired,omitempty"`
}

type hookSecrets struct {
	Secret string `json:"secret,omitempty"`
}

func (w *webhookJSON) webhook() Webhook {
	return Webhook{
		ID: int64(w.ID), Name: w.Name, URL: w.URL, Events: w.Events, Active: w.Active,
		Secret: siteconfig.NewSecret(w.Configuration.Secret), SkipsTLS: w.ChecksTLS != nil && !*w.ChecksTLS,
	}
}

// Webhooks lists the webhooks of a repository or project, without those that a repository
// inherits. ErrForbidden when the account does not administer it; ErrNotFound when it is not
// there, or this version has no such webhooks.
func (c *Client) Webhooks(ctx context.Context, of WebhookOwner) ([]Webhook, error) {
	path, err := of.path()
	if err != nil {
		return nil, err
	}
	var hooks []Webhook
	err = c.eachPage(ctx, "webhooks", path, nil, func(rows []json.RawMessage) error {
		for _, row := range rows {
			var raw webhookJSON
			if err := json.Unmarshal(row, &raw); err != nil || raw.ID <= 0 {
				return contradiction("a webhook could not be read")
			}
			if raw.Scope == "" || raw.Scope == of.scope() {
				hooks = append(hooks, raw.webhook())
			}
		}
		return nil
	})
	if err != nil {
		return nil, permission(err, of)
	}
	return hooks, nil
}

// CreateWebhook makes a webhook and returns it as Bitbucket has it. It is not tried again when the
// answer is lost: list before you create, and a second attempt finds the first one's. Errors
// as of Webhooks.
func (c *Client) CreateWebhook(ctx context.Context, of WebhookOwner, w Webhook) (Webhook, error) {
	path, err := of.path()
	if err != nil {
		return Webhook{}, err
	}
	return c.writeWebhook(ctx, of, http.MethodPost, path, w)
}

// UpdateWebhook gives the webhook with the ID of w all that w says. Errors as of Webhooks.
func (c *Client) UpdateWebhook(ctx context.Context, of WebhookOwner, w Webhook) (Webhook, error) {
	path, err := of.path(strconv.FormatInt(w.ID, 10))
	if err != nil {
		return Webhook{}, err
	}
	return c.writeWebhook(ctx, of, http.MethodPut, path, w)
}

// DeleteWebhook removes a webhook; one that is gone is no error. Errors as of Webhooks.
func (c *Client) DeleteWebhook(ctx context.Context, of WebhookOwner, id int64) error {
	path, err := of.path(strconv.FormatInt(id, 10))
	if err != nil {
		return err
	}
	_, err = c.ask(ctx, question{op: "webhook", method: http.MethodDelete, path: path, decode: func([]byte) error { return nil }})
	if err = permission(err, of); errors.Is(err, bitbucket.ErrNotFound) {
		return nil
	}
	return err
}

func (c *Client) writeWebhook(ctx context.Context, of WebhookOwner, method, path string, w Webhook) (Webhook, error) {
	out := webhookJSON{Name: w.Name, URL: w.URL, Active: w.Active, Events: w.Events, Configuration: hookSecrets{w.Secret.Reveal()}}
	if w.SkipsTLS {
		out.ChecksTLS = new(bool)
	}
	body, err := json.Marshal(out)
	if err != nil {
		return Webhook{}, err
	}
	var in webhookJSON
	_, err = c.ask(ctx, question{
		op: "webhook", method: method, path: path, body: body,
		decode: func(body []byte) error { return json.Unmarshal(body, &in) },
	})
	if err != nil {
		return Webhook{}, permission(err, of)
	}
	return in.webhook(), nil
}

// permission turns the refusal to show or change webhooks into ErrForbidden, whatever status it has:
// Bitbucket says 401 where a permission is missing.
func permission(err error, of WebhookOwner) error {
	var known *answerError
	if !errors.As(err, &known) || errors.Is(err, bitbucket.ErrCaptcha) || !known.permission && known.status != http.StatusForbidden {
		return err
	}
	return &answerError{
		text:   bitbucket.ErrForbidden.Error() + ": the account does not administer the " + of.scope() + " " + of.String() + "; give it that permission in Bitbucket",
		is:     []error{bitbucket.ErrForbidden},
		status: known.status, account: known.account,
	}
}
