package bitbuckettest

import (
	"fmt"
	"net/http"
)

// restError is an error as Bitbucket answers it: a status and an envelope with one entry.
type restError struct {
	status    int
	exception string // the part after com.atlassian.bitbucket.; "" is null
	message   string
	context   string // the field that is wrong; "" is null
}

func (e *restError) Error() string { return e.message }

// body is the envelope.
func (e *restError) body() object {
	var context, exception any
	if e.context != "" {
		context = e.context
	}
	if e.exception != "" {
		exception = "com.atlassian.bitbucket." + e.exception
	}
	return object{field("errors", list{object{
		field("context", context),
		field("message", e.message),
		field("exceptionName", exception),
	}})}
}

var (
	errWrongPassword = &restError{
		status: http.StatusUnauthorized, exception: "auth.IncorrectPasswordAuthenticationException",
		message: "Authentication failed. Please check your credentials and try again.",
	}
	errCaptcha = &restError{
		status: http.StatusForbidden, exception: "auth.CaptchaRequiredAuthenticationException",
		message: "CAPTCHA required. Your Bitbucket account has been locked. To unlock it and log in again you must solve a CAPTCHA. " +
			"This is typically caused by too many attempts to login with an incorrect password. The account lock prevents your SCM " +
			"client from accessing Bitbucket and its mirrors until it is solved, even if you enter your password correctly.",
	}
	errBasicOff = &restError{
		status: http.StatusForbidden, exception: "AuthorisationException",
		message: "Basic authentication has been disabled on this instance.",
	}
	// errNotPermitted is what Bitbucket says to nobody in particular and to those who lack the
	// permission alike: 401, not 403.
	errNotPermitted = &restError{
		status: http.StatusUnauthorized, exception: "AuthorisationException",
		message: "You are not permitted to access this resource",
	}
	errNoSuchLabel = &restError{http.StatusNotFound, "label.NoSuchLabelException", "Label not found.", ""}
)

func notFound(exception, format string, args ...any) *restError {
	return &restError{status: http.StatusNotFound, exception: exception, message: fmt.Sprintf(format, args...)}
}

func errNoSuchProject(key string) *restError {
	return notFound("project.NoSuchProjectException", "Project %s does not exist.", key)
}

// errNoSuchRepository spells the address as it was asked for.
func errNoSuchRepository(key, slug string) *restError {
	return notFound("repository.NoSuchRepositoryException", "Repository %s/%s does not exist.", key, slug)
}

func errNoSuchUser(slug string) *restError {
	return notFound("user.NoSuchUserException", "User %s does not exist.", slug)
}

func errNoSuchPullRequest(number string, r Repository) *restError {
	return notFound("pull.NoSuchPullRequestException", "Pull request %s does not exist in %s.", number, r.Address())
}

func errNoSuchCommit(id string, r Repository) *restError {
	return notFound("commit.NoSuchCommitException", "Commit '%s' does not exist in repository '%s'.", id, r.Slug)
}

func errNoSuchPath(path, revision string) *restError {
	return notFound("content.NoSuchPathException", "The path %q does not exist at revision %q", path, revision)
}

// noDefaultBranch is the exception about a repository without commits, too.
const noDefaultBranch = "repository.NoDefaultBranchException"

func errNoDefaultBranch(r Repository) *restError {
	return notFound(noDefaultBranch, "%s does not have a default branch.", r.Address())
}

func badRequest(context, format string, args ...any) *restError {
	return &restError{status: http.StatusBadRequest, context: context, message: fmt.Sprintf(format, args...)}
}

// unknownResource is what a resource of a newer version gives. Its body is not known; this
// is the form of Atlassian's REST framework.
type unknownResource struct{ url string }

func (e *unknownResource) Error() string { return "null for uri: " + e.url }

func (e *unknownResource) body() object {
	return object{field("message", e.Error()), field("status-code", http.StatusNotFound)}
}

// moved sends the client to the present address of what has moved.
type moved struct{ location string }

func (m *moved) Error() string { return "moved to " + m.location }

// noContent is an answer without a body.
type noContent struct{}
