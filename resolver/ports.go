package resolver

import (
	"context"
	"errors"

	"example.com/signpost/internal/bitbucket"
)

// What Resolve can answer instead of a link, beside bitbucket.ErrInvalidURL,
// ErrUnknownHost and ErrUnsupportedPage.
var (
	// ErrPrimaryURLNotSet means that no administrator has set the primary URL.
	ErrPrimaryURLNotSet = errors.New("no administrator has set the primary URL")
	// ErrRepositoryNotFound means that the connection has no such repository, or does not select it.
	ErrRepositoryNotFound = errors.New("repository not found")
	// ErrPullRequestNotFound means that the repository has no such pull request.
	ErrPullRequestNotFound = errors.New("pull request not found")
	// ErrBitbucketUnavailable means that the answer needs Bitbucket, and it failed.
	ErrBitbucketUnavailable = errors.New("Bitbucket is not available") //nolint:staticcheck // a name
	// ErrBitbucketTimeout means that the answer needs Bitbucket, and it was too slow.
	// It is ErrBitbucketUnavailable too.
	ErrBitbucketTimeout error = timeoutError{}
)

// What a mirror can answer.
var (
	// ErrNotMirrored means that the repository is not on this disk yet.
	ErrNotMirrored = errors.New("the repository is not mirrored yet")
	// ErrRefNotFound means that the mirror is complete and has no such ref or commit.
	ErrRefNotFound = errors.New("no such ref or commit in the mirror")
	// ErrPathNotFound means that the commit has no such path.
	ErrPathNotFound = errors.New("no such path at this commit")
)

type timeoutError struct{}

func (timeoutError) Error() string { return "Bitbucket did not answer in time" }

// Is makes errors.Is(ErrBitbucketTimeout, ErrBitbucketUnavailable) hold.
func (timeoutError) Is(target error) bool { return target == ErrBitbucketUnavailable }

// Mirrors says what refs and paths of mirrored repositories are. It reads the disk only.
// gitmirror fills it in. Safe for concurrent use.
type Mirrors interface {
	// ResolveRef returns the 40-digit hash of the commit that rev names: a full ref, a short name (branch
	// before tag), a full hash, or a unique short hash of at least 7 digits. Annotated tags are peeled. "" is HEAD. ErrNotMirrored, ErrRefNotFound.
	ResolveRef(ctx context.Context, repo bitbucket.RepoID, rev string) (string, error)
	// PathKind says what path is in commit, a 40-digit hash. A symbolic link is a file. ErrNotMirrored, ErrRefNotFound,
	// ErrPathNotFound.
	PathKind(ctx context.Context, repo bitbucket.RepoID, commit, path string) (bitbucket.PathKind, error)
	// DefaultBranch returns the short name of the branch that HEAD names, "" for an
	// empty repository. ErrNotMirrored.
	DefaultBranch(ctx context.Context, repo bitbucket.RepoID) (string, error)
}

// Bitbucket answers what only Bitbucket knows. The REST client fills it in. Errors wrap
// the sentinels of package bitbucket. Safe for concurrent use.
type Bitbucket interface {
	// PullRequest asks for a pull request. bitbucket.ErrNotFound.
	PullRequest(ctx context.Context, repo bitbucket.RepoID, address bitbucket.Address, number int64) (bitbucket.PullRequest, error)
	// PathKind asks what a path is at rev ("" is the default branch). bitbucket.ErrNotFound.
	PathKind(ctx context.Context, repo bitbucket.RepoID, address bitbucket.Address, rev, path string) (bitbucket.PathKind, error)
	// DefaultBranch asks for the short name of the default branch. bitbucket.ErrEmptyRepository, ErrNotFound.
	DefaultBranch(ctx context.Context, repo bitbucket.RepoID, address bitbucket.Address) (string, error)
}

// RepositoryLookup finds a repository that the index lacks. The syncer fills it in: it
// asks Bitbucket, and adds what the selection includes to the index. Safe for concurrent use.
type RepositoryLookup interface {
	// LookupRepository returns the entry. ErrRepositoryNotFound, also (with the reason in
	// a *NotFoundError) for one that exists and is not selected; other errors wrap the sentinels of package bitbucket.
	LookupRepository(ctx context.Context, connection string, address bitbucket.Address) (Entry, error)
}

// Entry is a repository of the index.
type Entry struct {
	ID      bitbucket.RepoID
	Address bitbucket.Address   // canonical spelling
	Former  []bitbucket.Address // addresses that it had before
}

// NotFoundError is ErrRepositoryNotFound with the reason, which is for administrators only.
type NotFoundError struct{ Reason string }

func (e *NotFoundError) Error() string { return "repository not found: " + e.Reason }

// Is makes errors.Is(err, ErrRepositoryNotFound) hold.
func (e *NotFoundError) Is(target error) bool { return target == ErrRepositoryNotFound }
