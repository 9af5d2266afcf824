package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// maxErrorBytes bounds what is read of an answer that is no success.
const maxErrorBytes = 64 << 10

// read reads an answer whole and closes it. Nil means that t.answer or t.location is set.
func (t *try) read(resp *http.Response) error {
	defer func() { _ = resp.Body.Close() }() // everything that matters was read
	if resp.StatusCode == http.StatusNoContent {
		t.answer = t.heard(resp)
		return nil
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return t.redirect(resp)
	}
	limit := t.client.maxBody
	if !t.question.succeeded(resp.StatusCode) {
		limit = maxErrorBytes
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if !t.question.succeeded(resp.StatusCode) {
		return t.refusal(resp, body) // a part of an error says enough
	}
	switch {
	case err != nil:
		return err
	case int64(len(body)) > limit:
		return t.fail(bitbucket.ErrUnavailable, fmt.Sprintf("the answer is larger than %d MiB", limit>>20))
	case looksLikeHTML(resp, body):
		return t.webPage(body)
	}
	if err := t.question.decode(body); err != nil {
		return t.undecoded(err)
	}
	t.answer = t.heard(resp)
	return nil
}

// undecoded tells a document that was cut off from one that says something else.
func (t *try) undecoded(err error) error {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
		known  *answerError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF):
		failure := t.fail(bitbucket.ErrUnavailable, "the answer is broken off or no JSON")
		failure.again = true
		return failure
	case errors.As(err, &kind):
		return t.fail(bitbucket.ErrNotBitbucket, "the answer has another form than Bitbucket's: "+t.client.cleaner.clean(err.Error()))
	default:
		failure := t.fail(bitbucket.ErrUnavailable, t.client.cleaner.clean(err.Error()))
		failure.is = append(failure.is, err)
		return failure
	}
}

func (t *try) heard(resp *http.Response) answer {
	return answer{status: resp.StatusCode, account: account(resp)}
}

// account returns the name of the account that Bitbucket knew the request by.
func account(resp *http.Response) string {
	name := resp.Header.Get(headerUser)
	if decoded, err := url.PathUnescape(name); err == nil {
		name = decoded
	}
	return strings.Join(strings.Fields(strings.Map(printable, name)), " ")
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

func (t *try) fail(sentinel error, details string) *answerError {
	return &answerError{text: sentence(sentinel, t.what(), details), is: []error{sentinel}}
}

// refusal turns an answer that is no success into an error: by its status and by the name
// of Bitbucket's exception, never by its message.
func (t *try) refusal(resp *http.Response, body []byte) error {
	c := t.client
	said, isEnvelope := parseEnvelope(body)
	details := fmt.Sprintf("the status was %d", resp.StatusCode)
	switch {
	case said.message != "":
		details += ": " + said.message
	case isEnvelope:
		details += ": " + said.exception
	case looksLikeHTML(resp, body):
		details += ", with a web page" + pageTitle(body)
	default:
		details += snippet(body)
	}
	details = c.cleaner.clean(details)
	fail := func(sentinel error, more ...error) *answerError {
		failure := t.fail(sentinel, details)
		failure.status = resp.StatusCode
		failure.is = append(failure.is, more...)
		return failure
	}

	captcha := said.exception == "CaptchaRequiredAuthenticationException" ||
		strings.Contains(resp.Header.Get("X-Authentication-Denied-Reason"), "CAPTCHA")
	switch status := resp.StatusCode; {
	case captcha && (status == http.StatusUnauthorized || status == http.StatusForbidden):
		if t.question.anonymous || c.credential.none() {
			return fail(bitbucket.ErrCaptcha, bitbucket.ErrForbidden)
		}
		now := time.Now()
		details += " (since " + clock(now) + "). Log in to Bitbucket with a browser as this account and solve it, " +
			"then save the site configuration again; until then the credential is not used"
		failure := fail(bitbucket.ErrCaptcha, bitbucket.ErrForbidden)
		c.refuse(failure, true, now)
		return failure
	case status == http.StatusUnauthorized && (said.exception == "AuthorisationException" || account(resp) != ""):
		// The manual's answer to a permission that is missing. Asked for one thing, it means
		// that this thing is not visible to the account, as a 404 does.
		failure := fail(bitbucket.ErrNotFound)
		failure.permission, failure.account = true, account(resp)
		return failure
	case status == http.StatusUnauthorized:
		if c.credential.none() {
			details += ". The connection has no credential: add a token, or username and password"
		}
		if t.question.anonymous || c.credential.none() {
			return fail(bitbucket.ErrUnauthorized)
		}
		now := time.Now()
		details += " (since " + clock(now) + "). Correct the credential, or unlock the account in Bitbucket and save the site " +
			"configuration again; until then it is not used, so that the account is not locked"
		failure := fail(bitbucket.ErrUnauthorized)
		c.refuse(failure, false, now)
		return failure
	case status == http.StatusForbidden:
		return fail(bitbucket.ErrForbidden)
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		sentinel := bitbucket.ErrUnavailable
		if status == http.StatusTooManyRequests {
			sentinel = bitbucket.ErrRateLimited
		}
		if wait, ok := retryAfter(resp, time.Now()); ok {
			asks := &RetryAfterError{Wait: wait}
			details += ". " + asks.Error()
			return fail(sentinel, asks)
		}
		return fail(sentinel)
	case status >= 500:
		return fail(bitbucket.ErrUnavailable)
	case status == http.StatusNotFound, strings.HasPrefix(said.exception, "NoSuch"):
		return fail(bitbucket.ErrNotFound)
	case !isEnvelope:
		return fail(bitbucket.ErrNotBitbucket)
	default: // a question that Bitbucket does not understand: no sentinel says that
		return &answerError{
			text:   t.what() + ": " + details,
			status: status,
		}
	}
}

// refuse keeps the credential from being sent again, and has that remembered beyond this process.
func (c *Client) refuse(err error, captcha bool, at time.Time) {
	if c.credential.refuse(err, at) && c.opts.OnRefusal != nil {
		c.opts.OnRefusal(syncer.Refusal{Connection: c.opts.Connection, Said: err.Error(), Captcha: captcha, At: at})
	}
}

// adviceURL ends what an administrator is told about answers that are not Bitbucket's.
const adviceURL = "Check that the url of the connection is that of the Bitbucket itself, with its context path, " +
	"and that no single sign-on or proxy stands before its REST API"

func notBitbucketText(details string) string {
	return bitbucket.ErrNotBitbucket.Error() + ": " + details
}

// webPage describes a page for people where JSON was due.
func (t *try) webPage(body []byte) error {
	kind := "this is a web page"
	if isLoginPage(body) {
		kind = "this is a login page"
	}
	return t.strange(t.client.cleaner.clean(kind+pageTitle(body)) + ", not JSON")
}

// strange is ErrNotBitbucket with the advice for it.
func (t *try) strange(details string) *answerError {
	if isCloud(t.client.opts.BaseURL.HostName()) {
		details += ". This is Bitbucket Cloud; only Bitbucket Server and Data Center can be synced"
	} else {
		details += ". " + adviceURL
	}
	return &answerError{
		text: notBitbucketText(t.what() + ": " + details),
		is:   []error{bitbucket.ErrNotBitbucket},
	}
}

func isCloud(host string) bool {
	return host == "bitbucket.org" || strings.HasSuffix(host, ".bitbucket.org")
}

// redirect accepts a redirect that stays within the REST API of the same Bitbucket: that
// is what a renamed or moved repository answers. All others lead to pages for people, or to
// strangers, who must not see the credential.
func (t *try) redirect(resp *http.Response) error {
	c := t.client
	target, err := resp.Location()
	if err != nil {
		return t.strange(fmt.Sprintf("a redirect (%d) that leads nowhere", resp.StatusCode))
	}
	base := c.opts.BaseURL
	if c.owns(target) && strings.HasPrefix(target.Path, base.Path+"/rest/") {
		target.User, target.Fragment = nil, ""
		if target.RawQuery == "" {
			target.RawQuery = t.question.query.Encode()
		}
		t.location = target
		return nil
	}
	where := c.cleaner.clean((&url.URL{Scheme: target.Scheme, Host: target.Host, Path: target.Path}).String())
	path := strings.ToLower(target.Path)
	switch {
	case isCloud(target.Hostname()):
		return t.strange("it is redirected to Bitbucket Cloud, " + where)
	case base.Scheme == "http" && target.Scheme == "https" && strings.EqualFold(target.Hostname(), base.HostName()):
		return t.strange("it is redirected to " + where + ": write https:// into the url of the connection")
	case strings.Contains(path, "login") || strings.Contains(path, "signin") || strings.Contains(path, "saml") ||
		strings.Contains(path, "sso") || strings.Contains(path, "auth"):
		return t.strange("this is a login page: it is redirected to " + where)
	default:
		return t.strange("it is redirected to " + where)
	}
}

// looksLikeHTML tells a page for people from JSON, by what it is before what it claims to be.
func looksLikeHTML(resp *http.Response, body []byte) bool {
	start := bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), " \t\r\n")
	if len(start) > 0 {
		return start[0] == '<'
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && kind == "text/html"
}

var titleTag = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// pageTitle returns the title of a page, quoted and after a space, or "".
func pageTitle(body []byte) string {
	m := titleTag.FindSubmatch(body[:min(len(body), maxErrorBytes)])
	if m == nil {
		return ""
	}
	if title := strings.Join(strings.Fields(html.UnescapeString(string(m[1]))), " "); title != "" {
		return " (" + title + ")"
	}
	return ""
}

var loginMarks = regexp.MustCompile(`(?i)type\s*=\s*["']?password|j_password|<title[^>]*>[^<]*(log ?in|sign ?in|single sign)|samlrequest`)

func isLoginPage(body []byte) bool { return loginMarks.Match(body[:min(len(body), maxErrorBytes)]) }

// snippet returns the start of a body that is neither an envelope nor a page.
func snippet(body []byte) string {
	if len(bytes.TrimSpace(body)) == 0 {
		return ""
	}
	return ": " + string(body)
}

// reason returns the text of an error without the URL that net/http puts around it.
func reason(err error) string {
	if err == nil {
		return ""
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err.Error()
	}
	return err.Error()
}
