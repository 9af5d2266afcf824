package rest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// retry decides whether another attempt follows, and how long to wait before it. It is
// called with an answer, or with what went wrong in getting or reading one.
func (t *try) retry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	switch {
	case t.question.method == http.MethodPost && (err != nil || resp.StatusCode != http.StatusTooManyRequests):
		return false, nil // it may have been heard
	case err != nil && !worthAnother(err):
		return false, nil
	case err == nil && !isTemporary(resp.StatusCode):
		return false, nil
	}
	wait, ok := retryAfter(resp, time.Now())
	if !ok {
		wait = t.jitter(resp)
	}
	if tooLong(ctx, wait) {
		return false, nil
	}
	if ok {
		wait += rand.N(t.client.opts.RetryWaitMin) // not all at the same moment
	}
	if err == nil {
		err = fmt.Errorf("the status was %d", resp.StatusCode)
	}
	if t.failures < t.client.opts.RetryMax {
		t.client.opts.Logger.DebugContext(ctx, "asking bitbucket again", "connection", t.client.opts.Connection,
			"op", t.question.op, "failures", t.failures+1, "wait", wait, "reason", t.client.cleaner.clean(reason(err)))
	}
	t.wait, t.last = wait, err
	t.failures++
	return true, nil
}

// jitter draws the wait before the next attempt: anything up to a bound that doubles, so
// that many clients do not come back together. After a 429 it is at least what clients of
// Bitbucket wait when it does not tell.
func (t *try) jitter(resp *http.Response) time.Duration {
	o := t.client.opts
	if resp != nil && resp.StatusCode == http.StatusTooManyRequests {
		wait := doubled(o.RateLimitWait, t.failures, maxWait)
		return min(maxWait, wait+rand.N(wait/4+1))
	}
	return rand.N(doubled(o.RetryWaitMin, t.failures, o.RetryWaitMax) + 1)
}

// doubled returns d doubled times times, at most limit.
func doubled(d time.Duration, times int, limit time.Duration) time.Duration {
	for range times {
		if d >= limit {
			break
		}
		d *= 2
	}
	return min(d, limit)
}

// isTemporary tells whether a status may be gone at the next attempt.
func isTemporary(status int) bool {
	return status == http.StatusTooManyRequests ||
		(status >= 500 && status != http.StatusNotImplemented)
}

// worthAnother tells whether what went wrong may go right at the next attempt.
func worthAnother(err error) bool {
	if known, ok := errors.AsType[*answerError](err); ok {
		return known.again
	}
	return !isTLS(err)
}

// isTLS tells whether err is about trust, or about a server that does not speak TLS. That
// needs an administrator.
func isTLS(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		alert        tls.AlertError
		authority    x509.UnknownAuthorityError
		invalid      x509.CertificateInvalidError
		hostname     x509.HostnameError
	)
	return errors.As(err, &verification) || isPlain(err) || errors.As(err, &alert) ||
		errors.As(err, &authority) || errors.As(err, &invalid) || errors.As(err, &hostname)
}

// isPlain tells whether the server does not speak TLS.
func isPlain(err error) bool {
	var record tls.RecordHeaderError
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &record)
}

// describe turns what net/http reports into an error for administrators: without the URL,
// cleaned, and wrapped around the sentinels.
func (c *Client) describe(ctx context.Context, what string, err error) error {
	if known, ok := errors.AsType[*answerError](err); ok {
		return known
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return &answerError{text: what + ": canceled", is: []error{context.Canceled}}
	}
	text, is := c.cleaner.clean(reason(err)), []error{bitbucket.ErrUnavailable, err}
	var hostname x509.HostnameError
	switch {
	case ctx.Err() != nil:
		if text = "no answer before the deadline"; !errors.Is(err, ctx.Err()) {
			text += " (" + c.cleaner.clean(reason(err)) + ")"
		}
		is = append(is, context.DeadlineExceeded)
	case errors.Is(err, errNoAnswer):
		text = fmt.Sprintf("no whole answer within %v", c.opts.Timeout)
		is = append(is, context.DeadlineExceeded)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		text = "the answer broke off"
	case isPlain(err):
		text = "it does not speak TLS at this address: check the scheme and the port of the url"
	case errors.As(err, &hostname):
		text += ": check the host name of the url"
	case isTLS(err):
		text += ": put the certificate of the server, or of who issued it, into the connection's certificate"
	}
	return &answerError{text: sentence(bitbucket.ErrUnavailable, what, text), is: is}
}

// sentence writes an error: what it means, what was asked, and details, both cleaned.
func sentence(sentinel error, what, details string) string {
	return sentinel.Error() + ": " + what + ": " + details
}
