package syncer

import (
	"context"
	"errors"
	"net/http"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

// CodeHost asks one Bitbucket. The REST client fills it in. Errors wrap the sentinels of
// package bitbucket. Safe for concurrent use.
type CodeHost interface {
	// Version asks for the version of the Bitbucket.
	Version(ctx context.Context) (bitbucket.Version, error)
	// Account asks for the name of the account that the credential belongs to, "" where
	// Bitbucket does not tell. ErrUnauthorized when the credential is not accepted, ErrCaptcha when the account is
	// locked, ErrTokensUnsupported for a token on a Bitbucket older than 5.5. It is called for every listing: an
	// implementation that knows that the credential was refused answers so without sending it once
	// more, since five wrong logins lock an account.
	Account(ctx context.Context) (string, error)
	// ListRepositories calls yield with each page of what the query finds. ErrIncompleteListing
	// (beside the cause) when the listing broke off. A query of a project that is not there: ErrNotFound.
	// ErrArchivedUnknown beside it when all was listed, and which of it is archived could not be asked now.
	ListRepositories(ctx context.Context, query ListQuery, yield func([]bitbucket.Repository) error) error
	// Repository asks for one repository; a renamed or moved one answers with its new address. ErrNotFound.
	// Like a listing, it can give one that is ArchivedUnknown, without an error.
	Repository(ctx context.Context, address bitbucket.Address) (bitbucket.Repository, error)
	// HasBranches asks whether a repository has any branch. ErrNotFound.
	HasBranches(ctx context.Context, address bitbucket.Address) (bool, error)
}

// ListQuery says what to list: exactly one of its fields is set; the zero query lists all
// that the account can see, archived and personal repositories included.
type ListQuery struct {
	ProjectKey string // all repositories of a project, "~user" too
	Query      string // a query string of rest/api/1.0/repos, with or without "?"
}

// ErrNoConnection means that the site configuration has no connection of that name.
var ErrNoConnection = errors.New("the site configuration has no such connection")

// CodeHosts gives the code host of a connection by its name. Safe for concurrent use.
type CodeHosts interface {
	// CodeHost returns the code host, or ErrNoConnection.
	CodeHost(connection string) (CodeHost, error)
}

// Mirrors keeps the mirrors on disk. gitmirror fills it in. Safe for concurrent use; two
// fetches of one repository run after one another.
type Mirrors interface {
	// Fetch clones the repository if it is not there yet, and otherwise brings its
	// branches, tags and HEAD up to date. After an error the mirror has the refs that it had.
	// Errors wrap the sentinels of package bitbucket where one fits.
	// ErrNoSpace when the disk is too full for a clone to begin, ErrTooLarge when it would never fit the memory.
	Fetch(ctx context.Context, request FetchRequest) (FetchResult, error)
	// Remove removes the mirror, after the fetch that writes it. Readers that are at work finish or get an
	// error. A mirror that is not there is no error.
	Remove(ctx context.Context, repo bitbucket.RepoID) error
}

// ErrNoSpace means that less of the disk is free than the site configuration keeps free, or nothing.
var ErrNoSpace = errors.New("the disk of the mirrors is too full")

// ErrTooLarge means that a repository takes more memory than the site configuration allows.
var ErrTooLarge = errors.New("the repository is too large for the memory budget")

// FetchRequest says what to fetch, and how.
type FetchRequest struct {
	Repo     bitbucket.RepoID
	CloneURL string // http, https or ssh; without user info, but for the "git@" of ssh
	// Transport sends the requests: the connection's trust, proxy and rate limit. Required.
	Transport http.RoundTripper
	// Authorize adds the credential to a request to the origin of CloneURL. It is never called for
	// another origin. Nil means no credential.
	Authorize func(*http.Request)
	// SSH is the key for a CloneURL of ssh, which needs no Transport.
	SSH *siteconfig.SSHCredential
	// RefsDigest is what the last fetch returned; the fetch ends early when nothing differs. "" forces it.
	RefsDigest string
	// SizeBytes is what the last fetch returned; 0 when unknown.
	SizeBytes int64
	// DefaultBranch is used for HEAD where git does not tell one; "" when unknown.
	DefaultBranch string
	// HasBranches asks Bitbucket, otherwise than by git, whether the repository has any branch. It is called when
	// git lists no ref at all where the mirror has some: something that stands before git can make every
	// repository look empty. The refs go only after it says no. Nil: what git says twice counts.
	HasBranches func(ctx context.Context) (bool, error)
	// Progress is called with what the server says, from any goroutine; may be nil.
	Progress func(text string)
}

// FetchResult says what a fetch found.
type FetchResult struct {
	Cloned        bool // the mirror is new
	Changed       bool // refs or HEAD differ from before
	RefsDigest    string
	DefaultBranch string // short name of what HEAD points to, also when unborn
	Empty         bool   // no ref
	SizeBytes     int64
	Received      int64  // bytes that came over the network
	Engine        string // that brought the objects, siteconfig.EngineGit or EngineGoGit; "" when none were needed
	Duration      time.Duration
}

// Listener is told what changed, after it is stored and before a step counts as done. (What a
// new configuration leaves out is told of before it is stored.)
// Its methods return quickly and are safe for concurrent use.
type Listener interface {
	// RepositoriesChanged: entries of the index were added, changed, renamed or removed.
	RepositoriesChanged(changes Changes)
	// RefsChanged: a fetch changed refs of the repository, or made its mirror.
	RefsChanged(repo bitbucket.RepoID)
}
