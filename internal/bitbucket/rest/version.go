package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// versionLifetime is how long a version is believed. An upgrade is noticed after it.
const versionLifetime = time.Hour

// versionCache keeps the version that Bitbucket last told.
type versionCache struct {
	mu      sync.Mutex
	version bitbucket.Version // zero: never told
	told    time.Time
}

func (v *versionCache) load() (version bitbucket.Version, fresh bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.version, v.version != (bitbucket.Version{}) && time.Since(v.told) < versionLifetime
}

func (v *versionCache) store(version bitbucket.Version) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.version, v.told = version, time.Now()
}

// Version returns the version of the Bitbucket, as told within the last hour. It needs no
// login, so it says nothing about the credential. ErrNotBitbucket when something else
// answers at the address.
func (c *Client) Version(ctx context.Context) (bitbucket.Version, error) {
	if version, fresh := c.version.load(); fresh {
		return version, nil
	}
	var version bitbucket.Version
	got, err := c.ask(ctx, question{
		op: "application-properties", path: "application-properties", anonymous: true,
		decode: func(body []byte) (err error) {
			version, err = decodeVersion(body)
			return err
		},
	})
	if err == nil && got.status == http.StatusNoContent {
		err = errNoVersion
	}
	if err != nil {
		return bitbucket.Version{}, c.describeVersion(err)
	}
	c.version.store(version)
	return version, nil
}

var errNoVersion = &answerError{
	text: notBitbucketText("rest/api/1.0/application-properties names no version. " + adviceURL),
	is:   []error{bitbucket.ErrNotBitbucket},
}

// describeVersion says what a 404 (and whatever else refuses this question, which every
// Bitbucket answers to everybody) means here.
func (c *Client) describeVersion(err error) error {
	var known *answerError
	if !errors.As(err, &known) || known.status < 400 || known.status >= 500 || known.status == http.StatusTooManyRequests {
		return err
	}
	text := "it does not answer rest/api/1.0/application-properties, which every Bitbucket does (" + known.text + "). " + adviceURL
	if isCloud(c.opts.BaseURL.HostName()) {
		text = "this is Bitbucket Cloud; only Bitbucket Server and Data Center can be synced"
	}
	return &answerError{text: notBitbucketText(text), is: []error{bitbucket.ErrNotBitbucket}, status: known.status}
}

// decodeVersion reads application-properties: version is a string in recordings; numbers
// occur beside it, so both are read.
func decodeVersion(body []byte) (bitbucket.Version, error) {
	var properties struct {
		Version json.RawMessage `json:"version"`
	}
	if err := json.Unmarshal(body, &properties); err != nil {
		return bitbucket.Version{}, err
	}
	text := string(properties.Version)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(properties.Version, &text); err != nil {
			return bitbucket.Version{}, err
		}
	}
	version, err := bitbucket.ParseVersion(text)
	if err != nil || version == (bitbucket.Version{}) {
		return bitbucket.Version{}, errNoVersion
	}
	return version, nil
}

// knownVersion returns the version for deciding what to ask: an old one when Bitbucket does
// not tell it now.
func (c *Client) knownVersion(ctx context.Context) (bitbucket.Version, error) {
	version, err := c.Version(ctx)
	if old, _ := c.version.load(); err != nil && old != (bitbucket.Version{}) {
		return old, nil
	}
	return version, err
}

// Account asks who the credential belongs to. It is "" where Bitbucket does not tell, and
// for a connection without a credential. ErrUnauthorized when the credential is not
// accepted, ErrCaptcha when the account is locked, ErrTokensUnsupported for a token on a Bitbucket older than 5.5.
//
// The question is one that needs a login: with public access on, the list of repositories
// answers an expired token like a visitor, with 200.
func (c *Client) Account(ctx context.Context) (string, error) {
	if c.credential.none() {
		_, err := c.Version(ctx)
		return "", err
	}
	return c.prove(ctx, false)
}

// prove asks whether the credential holds, one question at a time. With once it does
// nothing when somebody else proved it meanwhile.
func (c *Client) prove(ctx context.Context, once bool) (account string, err error) {
	select {
	case c.credential.proving <- struct{}{}:
		defer func() { <-c.credential.proving }()
	case <-ctx.Done():
		return "", c.describe(ctx, "waiting for another login", ctx.Err())
	}
	if once && !c.credential.isSuspect() {
		return "", nil
	}
	account, err = c.probe(ctx)
	var known *answerError
	if err == nil || (errors.As(err, &known) && known.permission) {
		// Not to be permitted either question proves nothing bad about the password.
		c.credential.setSuspect(false)
		if once {
			err = nil
		}
	}
	return account, err
}

// probe asks questions that need a login, and hardly any permission: a token may lack the
// one for the list of users, its own recent repositories it may see. A token of a project or
// repository belongs to nobody, so it may lack both and not be named; what tells it from a visitor is
// that it finds repositories by a permission: for visitors that list is empty by design.
func (c *Client) probe(ctx context.Context) (string, error) {
	var last *answerError
	for _, path := range []string{"users", "profile/recent/repos"} {
		got, err := c.ask(ctx, question{
			op: "account", path: path, query: url.Values{"limit": {"1"}}, probe: true,
			decode: func(body []byte) error { return json.Unmarshal(body, &struct{}{}) },
		})
		if err == nil {
			return got.account, nil
		}
		forbidden := errors.Is(err, bitbucket.ErrForbidden) && !errors.Is(err, bitbucket.ErrCaptcha)
		if !errors.As(err, &last) || (!last.permission && !forbidden) {
			return "", err
		}
	}
	switch {
	case !last.permission:
		return "", last
	case last.account != "":
		return last.account, nil // who is named is no visitor
	}
	switch finds, err := c.findsByPermission(ctx); {
	case err != nil:
		return "", err
	case finds:
		return "", nil
	}
	return "", &answerError{
		text: bitbucket.ErrUnauthorized.Error() + ": Bitbucket takes the account for a visitor; " +
			"the token may have expired or been revoked (" + last.text + ")",
		is:         []error{bitbucket.ErrUnauthorized},
		status:     last.status,
		permission: true,
	}
}

// findsByPermission tells whether the credential may read any repository in its own right, not as
// a visitor may.
func (c *Client) findsByPermission(ctx context.Context) (finds bool, err error) {
	var page struct {
		Values []json.RawMessage `json:"values"`
	}
	_, err = c.ask(ctx, question{
		// A page counts rows that the account may not see, and then holds fewer than its limit.
		op: "account", path: "repos", query: url.Values{"permission": {"REPO_READ"}, "limit": {"100"}}, probe: true,
		decode: func(body []byte) error { return json.Unmarshal(body, &page) },
	})
	if known, ok := errors.AsType[*answerError](err); ok && (known.permission || errors.Is(err, bitbucket.ErrForbidden) && !errors.Is(err, bitbucket.ErrCaptcha)) {
		return false, nil
	}
	return len(page.Values) > 0, err
}
