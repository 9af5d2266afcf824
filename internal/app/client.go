package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/resolver"
)

// maxAnswer bounds what is read from a server, in bytes.
const maxAnswer = 16 << 20

// Client asks a running server. It is safe for concurrent use.
type Client struct {
	base  string // may hold a password; messages have shown instead
	shown string
	token siteconfig.Secret
	http  *http.Client
}

// NewClient returns a client of the server at an address such as http://127.0.0.1:7080.
// The admin token goes to that address only; redirects are not followed.
func NewClient(server string, token siteconfig.Secret) *Client {
	base := strings.TrimRight(server, "/")
	shown := base
	if strings.Contains(base, "@") {
		shown = "…"
		if parsed, err := url.Parse(base); err == nil && parsed.User != nil {
			shown = parsed.Redacted()
		}
	}
	return &Client{
		base:  base,
		shown: shown,
		token: token,
		http: &http.Client{
			Timeout:       2 * time.Minute,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// ServerError is a problem that the server answered.
type ServerError struct {
	Status int
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Reason string `json:"reason"`

	Problems siteconfig.Problems `json:"problems"`
}

// Error implements error.
func (e *ServerError) Error() string {
	text := fmt.Sprintf("%s (%s)", e.Detail, e.Code)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	if len(e.Problems) > 0 {
		text += "\n" + e.Problems.Error()
	}
	return text
}

// resolveMany implements linkSource.
func (c *Client) resolveMany(ctx context.Context, urls []string) ([]resolved, error) {
	all := make([]resolved, len(urls))
	var asked []*resolved
	for i, url := range urls {
		all[i].input = url
		if !utf8.ValidString(url) { // in JSON it would become another URL
			all[i].err = fmt.Errorf("%w: it is not valid UTF-8", bitbucket.ErrInvalidURL)
			continue
		}
		asked = append(asked, &all[i])
	}
	for batch := range slices.Chunk(asked, 100) { // what the API takes at once
		if err := c.resolveBatch(ctx, batch); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (c *Client) resolveBatch(ctx context.Context, batch []*resolved) error {
	urls := make([]string, len(batch))
	for i, one := range batch {
		urls[i] = one.input
	}
	body, err := json.Marshal(map[string][]string{"urls": urls})
	if err != nil {
		return err
	}
	answer, err := c.do(ctx, http.MethodPost, "/api/v1/resolve", "application/json", body)
	if err != nil {
		return err
	}
	var decoded struct {
		Results []struct {
			Link  json.RawMessage `json:"link"`
			Error *ServerError    `json:"error"`
		} `json:"results"`
	}
	if err := json.Unmarshal(answer, &decoded); err != nil || len(decoded.Results) != len(batch) {
		return fmt.Errorf("%s did not answer as a Signpost server does; is the address right?", c.shown)
	}
	for i, result := range decoded.Results {
		if result.Error != nil {
			batch[i].err = result.Error
			continue
		}
		batch[i].json, batch[i].link = result.Link, new(resolver.Link)
		if err := json.Unmarshal(result.Link, batch[i].link); err != nil {
			return fmt.Errorf("%s did not answer as a Signpost server does: %w", c.shown, err)
		}
	}
	return nil
}

// SiteConfig returns the text of the server's configuration, secrets masked.
func (c *Client) SiteConfig(ctx context.Context) (string, error) {
	text, err := c.do(ctx, http.MethodGet, "/api/v1/site-config", "", nil)
	return string(text), err
}

// SetPrimaryURL sets the server's primary URL and returns it as the server writes it.
func (c *Client) SetPrimaryURL(ctx context.Context, url string) (string, error) {
	body, err := json.Marshal(map[string]string{"primaryURL": url})
	if err != nil {
		return "", err
	}
	answer, err := c.do(ctx, http.MethodPut, "/api/v1/primary-url", "application/json", body)
	if err != nil {
		return "", err
	}
	var decoded struct {
		PrimaryURL string `json:"primaryURL"`
	}
	err = json.Unmarshal(answer, &decoded)
	return decoded.PrimaryURL, err
}

func (c *Client) do(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	base, err := url.Parse(c.base)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || strings.ContainsAny(c.base, "?#") {
		return nil, fmt.Errorf("%q is not the address of a server: write all of it and no more, such as http://127.0.0.1:7080", c.shown)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the address of the server: %w", err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if !c.token.IsZero() {
		request.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("the server cannot be reached: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("the answer of the server broke off: %w", err)
	}
	if response.StatusCode == http.StatusOK {
		return answer, nil
	}
	problem := &ServerError{}
	if json.Unmarshal(answer, problem) != nil || problem.Code == "" {
		return nil, fmt.Errorf("%s answered %s, and not as a Signpost server does; is the address right?", c.shown, response.Status)
	}
	problem.Status = response.StatusCode
	if problem.Status == http.StatusUnauthorized { // in words of the command line
		problem.Detail = "the server was started with another admin token: set SIGNPOST_ADMIN_TOKEN to that one"
		if c.token.IsZero() {
			problem.Detail = "this needs the server's admin token: set SIGNPOST_ADMIN_TOKEN to it"
		}
	}
	return nil, problem
}
