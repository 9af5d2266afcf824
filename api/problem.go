package api

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	extension "example.com/signpost/extension-assets"
	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/internal/webhook"
	"example.com/signpost/resolver"
	"example.com/signpost/syncer"
)

// What the API itself finds wrong with a request.
var (
	errNoSuchPath           = errors.New("no such path")
	errMethodNotAllowed     = errors.New("method not allowed")
	errUnauthorized         = errors.New("admin token missing or wrong")
	errAdminTokenNotSet     = errors.New("no admin token is set")
	errTooManyAttempts      = errors.New("too many refused admin tokens")
	errTooManyScrapes       = errors.New("too many scrapes at a time")
	errMissingURL           = errors.New("the url parameter is missing or empty")
	errPreconditionRequired = errors.New("If-Match is missing")
	errTooLarge             = errors.New("the body is too large")
	errMediaType            = errors.New("the body has the wrong media type")
	errContentEncoding      = errors.New("the body is compressed")
	errTooManyBodies        = errors.New("too many bodies are read at a time")
	errPanic                = errors.New("the handler panicked")
)

// requestError is a request that cannot be understood; its text is for the client.
type requestError struct{ text string }

func (e *requestError) Error() string { return e.text }

// invalidConfigError carries the problems of a refused site configuration.
type invalidConfigError struct{ problems siteconfig.Problems }

func (e *invalidConfigError) Error() string { return siteconfig.ErrInvalid.Error() }
func (e *invalidConfigError) Unwrap() error { return siteconfig.ErrInvalid }

// The table of problems. The first row whose error matches counts, so the more specific
// rows stand above. Details are fixed sentences: no internal text gets out.
var problems = []struct {
	err error
	Problem
}{
	{webhook.ErrNotStored, Problem{Status: 503, Code: NotStored, Title: "Not stored", Detail: "The database did not take the job: it is busy, or the disk of the server's data folder is full. The schedule does it later."}},
	{bitbucket.ErrInvalidURL, Problem{Status: 400, Code: InvalidURL, Title: "Not a Bitbucket URL", Detail: "This is not an address that any Bitbucket could have. Send the whole address of a Bitbucket page."}},
	{errMissingURL, Problem{Status: 400, Code: InvalidURL, Title: "Not a Bitbucket URL", Detail: "The parameter url is missing or empty. Send the whole address of a Bitbucket page in it, percent-encoded."}},
	{resolver.ErrPrimaryURLNotSet, Problem{Status: 503, Code: PrimaryURLNotSet, Title: "Not set up yet", Detail: "No administrator has set the primary URL yet: the address of your own Sourcegraph instance."}},
	{bitbucket.ErrUnknownHost, Problem{Status: 404, Code: UnknownHost, Title: "Unknown host", Detail: "No connection of the site configuration has this address. An administrator can add it, or add it as an alias."}},
	{bitbucket.ErrUnsupportedPage, Problem{Status: 404, Code: UnsupportedPage, Title: "No counterpart", Detail: "This page has no counterpart on Sourcegraph."}},
	{resolver.ErrRepositoryNotFound, Problem{Status: 404, Code: RepositoryNotFound, Title: "Repository not found", Detail: "The connection has no such repository, or does not select it. Administrators are told the reason."}},
	{resolver.ErrPullRequestNotFound, Problem{Status: 404, Code: PullRequestNotFound, Title: "Pull request not found", Detail: "The repository has no such pull request."}},
	{bitbucket.ErrRateLimited, Problem{Status: 429, Code: RateLimited, Title: "Rate limited", Detail: "Bitbucket limits the rate of requests at the moment. Try again later."}},
	{errTooManyAttempts, Problem{Status: 429, Code: RateLimited, Title: "Rate limited", Detail: "Too many requests with a wrong admin token. Try again later."}},
	{errTooManyScrapes, Problem{Status: 429, Code: RateLimited, Title: "Rate limited", Detail: "Too many others read the metrics at the moment. Try again later."}},
	{resolver.ErrBitbucketTimeout, Problem{Status: 504, Code: BitbucketUnavailable, Title: "Bitbucket is too slow", Detail: "This answer needs Bitbucket, and it did not answer in time. Try again later."}},
	{resolver.ErrBitbucketUnavailable, Problem{Status: 502, Code: BitbucketUnavailable, Title: "Bitbucket is not available", Detail: "This answer needs Bitbucket, and Bitbucket failed. Try again later; the log of the server says more."}},
	{extension.ErrNoServerURL, Problem{Status: 503, Code: ExtensionNotConfigured, Title: "Not set up yet", Detail: "The site configuration does not say how browsers reach this server. An administrator sets externalURL to its address; then the extension is here."}},
	{extension.ErrNoBitbucket, Problem{Status: 503, Code: ExtensionNotConfigured, Title: "Not set up yet", Detail: "The site configuration has no connection to a Bitbucket. An administrator adds one to bitbucketServer; then the extension is here."}},
	{extension.ErrAddress, Problem{Status: 503, Code: ExtensionNotConfigured, Title: "Not set up yet", Detail: "An address in the site configuration cannot be packed into the extension. An administrator looks at externalURL and the addresses of the connections."}},
	{extension.ErrNotBuilt, Problem{Status: 503, Code: ExtensionNotBuilt, Title: "Not built yet", Detail: "The packages of the extension are not built yet. Try again in a minute; if it happens again, the log of the server says why."}},
	{context.DeadlineExceeded, Problem{Status: 504, Code: Timeout, Title: "Too slow", Detail: "The server could not finish the answer in time. Try again later; if it happens again, see whether its disk or database is overloaded."}},
	{syncer.ErrNoRecord, Problem{Status: 404, Code: RepositoryNotFound, Title: "Repository not found", Detail: "No repository has this id. The list of the repositories at /api/v1/repositories has the ids, such as bitbucket:42."}},
	{syncer.ErrNotSelected, Problem{Status: 409, Code: NotSelected, Title: "Not selected", Detail: "The site configuration does not select this repository, so it is not fetched; the reason says why. Change the selection of its connection first."}},
	{syncer.ErrNotStarted, Problem{Status: 503, Code: NotSyncing, Title: "Not syncing", Detail: "The server is starting or stopping and takes no fetches. Try again later."}},
	{errUnauthorized, Problem{Status: 401, Code: Unauthorized, Title: "Admin token needed", Detail: "Send the admin token as a bearer token: Authorization: Bearer TOKEN."}},
	{errAdminTokenNotSet, Problem{Status: 403, Code: AdminTokenNotSet, Title: "Closed", Detail: "This part of the API is closed until SIGNPOST_ADMIN_TOKEN is set for the server."}},
	{errNoSuchPath, Problem{Status: 404, Code: NotFound, Title: "Not found", Detail: "There is nothing at this path. The API is described at /api/v1/openapi.yaml."}},
	{errMethodNotAllowed, Problem{Status: 405, Code: MethodNotAllowed, Title: "Method not allowed", Detail: "This path does not take this method; the Allow header names those that it takes."}},
	{errPreconditionRequired, Problem{Status: 428, Code: PreconditionRequired, Title: "If-Match needed", Detail: "Send the ETag of the version that you edited as If-Match, so that you cannot overwrite somebody else's change."}},
	{siteconfig.ErrConflict, Problem{Status: 412, Code: Conflict, Title: "Changed by somebody else", Detail: "The site configuration was changed since the version that you edited. Read it again and apply your change to it."}},
	{siteconfig.ErrReadOnly, Problem{Status: 409, Code: ReadOnly, Title: "Read-only", Detail: "The site configuration comes from a file (--config). Edit the file: it is read again when it changes."}},
	{siteconfig.ErrInvalid, Problem{Status: 422, Code: InvalidSiteConfig, Title: "The site configuration has errors", Detail: "Nothing was stored. Correct the errors that are listed in problems."}},
	{siteconfig.ErrStorageFull, Problem{Status: 507, Code: StorageFull, Title: "No space left", Detail: "Nothing was stored: no space is left on the disk of the server's data folder. Free some and try again."}},
	{webhook.ErrUnknownConnection, Problem{Status: 404, Code: UnknownConnection, Title: "Unknown connection", Detail: "The site configuration has no connection of this name. The address of a webhook ends with the name of its connection."}},
	{webhook.ErrNotConfigured, Problem{Status: 403, Code: WebhooksNotConfigured, Title: "No secret", Detail: "This connection takes no webhooks until its webhooks.secret is set in the site configuration, and the same secret in Bitbucket."}},
	{webhook.ErrSignature, Problem{Status: 401, Code: InvalidSignature, Title: "Not signed", Detail: "The delivery is not signed with the secret of the connection. Give the webhook in Bitbucket the same secret as webhooks.secret in the site configuration."}},
	{webhook.ErrUnreadable, Problem{Status: 400, Code: InvalidRequest, Title: "Not a delivery", Detail: "The body is not that of a webhook of Bitbucket."}},
	{errTooManyBodies, Problem{Status: 503, Code: NotStored, Title: "Too many deliveries", Detail: "Too many large deliveries come at the same time. The schedule does what they ask for later."}},
	{syncer.ErrNoConnection, Problem{Status: 404, Code: UnknownConnection, Title: "Unknown connection", Detail: "The site configuration has no connection of this name."}},
	{errTooLarge, Problem{Status: 413, Code: PayloadTooLarge, Title: "Too large", Detail: "The body is larger than this path takes."}},
	{errMediaType, Problem{Status: 415, Code: UnsupportedMediaType, Title: "Wrong media type", Detail: "Send the body as application/json."}},
	{errContentEncoding, Problem{Status: 415, Code: UnsupportedMediaType, Title: "Compressed body", Detail: "Send the body as it is, without Content-Encoding."}},
}

var internalProblem = Problem{Status: 500, Code: InternalError, Title: "Internal error", Detail: "Something went wrong in the server. Its log has more under this request id."}

// problemFor returns the problem that the table has for err, with what only an
// administrator may read if admin is set.
func problemFor(err error, admin bool) Problem {
	p := internalProblem
	if badRequest, ok := errors.AsType[*requestError](err); ok {
		p = Problem{Status: 400, Code: InvalidRequest, Title: "Bad request", Detail: badRequest.text}
	} else {
		for _, row := range problems {
			if errors.Is(err, row.err) {
				p = row.Problem
				break
			}
		}
	}
	p.Type = "about:blank"
	if notFound, ok := errors.AsType[*resolver.NotFoundError](err); ok && admin {
		p.Reason = notFound.Reason
	}
	if left, ok := errors.AsType[*syncer.NotSelectedError](err); ok && admin {
		p.Reason = left.Reason
	}
	if invalid, ok := errors.AsType[*invalidConfigError](err); ok {
		p.Problems = configProblems(invalid.problems)
	}
	return p
}

// CodeOf returns the code that the API has for an error, "internal_error" for one that it does
// not know.
func CodeOf(err error) string { return string(problemFor(err, false).Code) }

// writeProblem turns an error into an RFC 9457 problem. An error that the table does not
// know, and every failure of Bitbucket, is logged here, once, and its text stays inside.
func (s *Server) writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := s.describe(w, r, err)
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // fails only when the client has gone
}

// describe returns the problem for err, sets the headers that go with it, and logs what
// an operator must know.
func (s *Server) describe(w http.ResponseWriter, r *http.Request, err error) Problem {
	p := problemFor(err, s.admin.holds(r))
	p.RequestID = w.Header().Get(requestIDHeader)
	switch p.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="signpost"`)
		if errors.Is(err, webhook.ErrSignature) {
			w.Header().Set("WWW-Authenticate", `Signature realm="webhooks", headers="X-Hub-Signature"`)
		}
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(retryAfterSeconds(err)))
	}
	ctx := requestContext(w, r)
	if p.Status >= http.StatusInternalServerError && !isNotSetUp(p.Code) {
		s.log.ErrorContext(ctx, "request failed", "request_id", p.RequestID, "route", routeName(w), "code", p.Code, "err", err)
	}
	return p
}

// isNotSetUp tells whether a code says that an administrator has not finished yet, which is no failure.
func isNotSetUp(code ProblemCode) bool {
	return code == PrimaryURLNotSet || code == ExtensionNotConfigured
}

// retryAfterer is an error that knows when to try again.
type retryAfterer interface{ RetryAfter() time.Duration }

func retryAfterSeconds(err error) int {
	var after retryAfterer
	if errors.As(err, &after) && after.RetryAfter() > 0 {
		return int(math.Ceil(after.RetryAfter().Seconds()))
	}
	return 5 // what clients of Bitbucket assume where it does not say
}

// writeJSON writes v as JSON.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // fails only when the client has gone
	return nil
}
