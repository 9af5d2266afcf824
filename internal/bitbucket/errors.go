package bitbucket

import "errors"

// What can be wrong with a URL.
var (
	// ErrInvalidURL means that no Bitbucket could have such a URL.
	ErrInvalidURL = errors.New("not a URL that a Bitbucket could have")
	// ErrUnknownHost means that no connection has the address.
	ErrUnknownHost = errors.New("no connection has this address")
	// ErrUnsupportedPage means a page of a known Bitbucket that has no counterpart on Sourcegraph.
	ErrUnsupportedPage = errors.New("a page without a counterpart on Sourcegraph")
)

// What can be wrong when Bitbucket is asked. Adapters wrap these with the details.
var (
	// ErrNotFound means that what was asked for does not exist, or that the account may
	// not see it: Bitbucket does not tell the two apart. It proves no deletion.
	ErrNotFound = errors.New("not found on Bitbucket, or not visible to the account")
	// ErrUnauthorized means that Bitbucket refused the credential. Trying again can lock
	// the account.
	ErrUnauthorized = errors.New("credential refused by Bitbucket")
	// ErrKeyRefused means that Bitbucket refused the SSH key. Such an error is ErrUnauthorized too, but
	// says nothing of the credential of REST, and locks no account.
	ErrKeyRefused = errors.New("SSH key refused by Bitbucket")
	// ErrForbidden means that the account may not do this, or that a CAPTCHA is due
	// (then the error is ErrCaptcha too).
	ErrForbidden = errors.New("forbidden by Bitbucket")
	// ErrCaptcha means that the account is locked until somebody logs in by hand.
	ErrCaptcha = errors.New("Bitbucket wants a CAPTCHA solved for the account") //nolint:staticcheck // a name
	// ErrRateLimited means 429, after the retries.
	ErrRateLimited = errors.New("rate limited by Bitbucket")
	// ErrUnavailable means that Bitbucket did not answer, or answered 5xx or nonsense, after the retries.
	ErrUnavailable = errors.New("Bitbucket is not available") //nolint:staticcheck // a name
	// ErrCircuitOpen accompanies ErrUnavailable when Bitbucket was not asked, because it did not answer others
	// just before. It says nothing about what the question was for.
	ErrCircuitOpen = errors.New("Bitbucket is left alone until it answers again") //nolint:staticcheck // a name
	// ErrNotBitbucket means an answer that is no Bitbucket's: a login page, a proxy's page, another product.
	ErrNotBitbucket = errors.New("the answer is not one of a Bitbucket Server")
	// ErrUntrustedHost means that an SSH server shows a host key that no administrator vouched for.
	ErrUntrustedHost = errors.New("the host key of the SSH server is not a known one")
	// ErrIncompleteListing means that a listing broke off or contradicts itself. What it
	// lacks may exist all the same.
	ErrIncompleteListing = errors.New("the listing is incomplete")
	// ErrTokensUnsupported means a token on a Bitbucket older than 5.5.
	ErrTokensUnsupported = errors.New("this Bitbucket has no access tokens")
	// ErrEmptyRepository means that a repository has no commit yet.
	ErrEmptyRepository = errors.New("the repository is empty")
)
