package gitmirror

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"

	"example.com/signpost/internal/bitbucket"
)

// errIdle is the cause of a request that was given up because no byte came.
var errIdle = errors.New("the server sent nothing for too long")

// remoteError is a failure of the Bitbucket, or of the way to it: a sentinel of package
// bitbucket, and a sentence for administrators.
type remoteError struct {
	kind  error // one of bitbucket's sentinels, or two joined
	text  string
	cause error         // nil where the text says it all
	after time.Duration // from Retry-After, 0 when absent
	stale bool          // the refs may have been moved since they were listed
}

func (e *remoteError) Error() string {
	if e.cause != nil {
		return e.text + ": " + e.cause.Error()
	}
	return e.text
}

func (e *remoteError) Unwrap() []error {
	if e.cause != nil {
		return []error{e.kind, e.cause}
	}
	return []error{e.kind}
}

// RetryAfter returns how long Bitbucket asked to wait, 0 when it did not say.
// Callers find it through errors.As with an interface that has this method.
func (e *remoteError) RetryAfter() time.Duration { return e.after }

// statusError returns the error for an answer whose status is not 200. The start of its body
// is looked at, and never repeated: error pages hold anything.
func statusError(resp *http.Response, bodyStart string, authorized bool, now time.Time) *remoteError {
	e := &remoteError{after: retryAfter(resp.Header.Get("Retry-After"), now)}
	captcha := strings.Contains(strings.ToUpper(bodyStart), "CAPTCHA") ||
		strings.Contains(resp.Header.Get("X-Authentication-Denied-Reason"), "CAPTCHA")
	code := resp.StatusCode
	switch {
	case captcha && (code == http.StatusUnauthorized || code == http.StatusForbidden):
		return captchaError()
	case code == http.StatusUnauthorized && !authorized:
		e.kind = bitbucket.ErrUnauthorized
		e.text = "git got 401: the repository wants a login, and the connection has no credential"
	case code == http.StatusUnauthorized:
		e.kind = bitbucket.ErrUnauthorized
		e.text = "git got 401: Bitbucket refused the credential; check the connection's token, or its user name and password (trying again can lock the account)"
	case code == http.StatusForbidden:
		e.kind = bitbucket.ErrForbidden
		e.text = "git got 403: the account may not read the repository, or the administrator of the Bitbucket switched off basic authentication"
	case code == http.StatusNotFound:
		e.kind = bitbucket.ErrNotFound
		e.text = "git got 404: the repository does not exist, or the account may not see it, or git over HTTP is switched off"
	case code == http.StatusTooManyRequests:
		e.kind = bitbucket.ErrRateLimited
		e.text = "git got 429: Bitbucket wants fewer requests of this account"
	case code == http.StatusProxyAuthRequired:
		e.kind = bitbucket.ErrUnavailable
		e.text = "git got 407: the HTTP proxy wants a login; give it in the proxy's environment variable"
	case code >= 500:
		e.kind = bitbucket.ErrUnavailable
		e.text = fmt.Sprintf("git got %d: Bitbucket, or a proxy before it, has a problem", code)
	default:
		e.kind = bitbucket.ErrNotBitbucket
		e.text = fmt.Sprintf("git got %d, which no Bitbucket answers; check the connection's url, and proxies on the way", code)
	}
	return e
}

// captchaError is ErrForbidden too, as package bitbucket promises.
func captchaError() *remoteError {
	return &remoteError{
		kind: errors.Join(bitbucket.ErrCaptcha, bitbucket.ErrForbidden),
		text: "Bitbucket locked the account until somebody logs in with it by browser and solves the CAPTCHA; then correct the credential",
	}
}

// errLineError returns the error for a line that Bitbucket sends instead of refs or a pack, with status
// 200: so it answers what is wrong once the login succeeded.
func errLineError(line string) *remoteError {
	switch {
	case strings.HasPrefix(line, "Repository not found"):
		return &remoteError{
			kind: bitbucket.ErrNotFound,
			text: "Bitbucket says that the repository does not exist, or that the account may not read it",
		}
	case strings.Contains(strings.ToUpper(line), "CAPTCHA"):
		return captchaError()
	default:
		return &remoteError{kind: bitbucket.ErrUnavailable, text: "Bitbucket refused: " + printable(line, 200), stale: isStale(line)}
	}
}

// networkError returns the error for a request or an answer that broke off.
func networkError(err error) *remoteError {
	e := &remoteError{kind: bitbucket.ErrUnavailable, text: "git cannot reach Bitbucket, or the connection broke", cause: err}
	var (
		unknownAuthority x509.UnknownAuthorityError
		hostname         x509.HostnameError
		verification     *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(err, errIdle):
		e.text, e.cause = "git gave up waiting for Bitbucket", errIdle
	case errors.As(err, &hostname):
		e.text = "the certificate of the server is for another host name; check the connection's url"
	case errors.As(err, &unknownAuthority), errors.As(err, &verification):
		e.text = "the certificate of the server is not trusted; put the certificate of its authority into the connection's certificate"
	}
	return e
}

// garbled returns the error for an answer that begins like git's and cannot be understood.
func garbled(err error) error {
	if line, ok := errors.AsType[*pktline.ErrorLine](err); ok {
		return errLineError(line.Text)
	}
	return &remoteError{
		kind:  bitbucket.ErrUnavailable,
		text:  "the answer of the git server is cut off or damaged: " + printable(err.Error(), 200),
		stale: isStale(err.Error()),
	}
}

// isStale recognizes what git's upload-pack says when a branch was moved by force after it was listed.
func isStale(said string) bool { return strings.Contains(said, "not our ref") }

// stopped returns the error for a fetch whose context ended, nil while it has not.
func stopped(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); !errors.Is(cause, err) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// retryAfter reads a Retry-After header: seconds or a date (RFC 9110, section 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	if seconds, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
		return max(0, time.Duration(min(seconds, 1<<30))*time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// printable returns at most limit bytes of foreign text on one line, without control characters.
func printable(text string, limit int) string {
	if len(text) > limit {
		text = text[:limit] + "…"
	}
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))), " ")
}
