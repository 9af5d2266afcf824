package bitbucket

import (
	"errors"
	"strconv"
)

// ErrArchivedUnknown means that Bitbucket could not be asked which repositories are
// archived. All else that was said of them is true.
var ErrArchivedUnknown = errors.New("which repositories are archived is unknown")

// RepoID identifies a repository for as long as it exists. Key, slug and name of a
// repository change when it is renamed or moved; the number that Bitbucket gave it does
// not. Numbers are unique within one connection only.
type RepoID struct {
	Connection string // name of the connection in the site configuration
	Number     int64  // Bitbucket's numeric id
}

// String returns the id as it is written in logs: connection/number.
func (id RepoID) String() string {
	return id.Connection + "/" + strconv.FormatInt(id.Number, 10)
}

// Address is the place of a repository on its Bitbucket: project key and slug. Both are
// case-insensitive there; the canonical spelling is the one that Bitbucket answers.
// The key of a personal project begins with "~".
type Address struct {
	Key  string
	Slug string
}

// String returns the address as KEY/slug.
func (a Address) String() string { return a.Key + "/" + a.Slug }

// State is the state that Bitbucket gives a repository.
type State string

// The states of a repository, as Bitbucket's REST API spells them.
const (
	StateAvailable            State = "AVAILABLE"
	StateInitialising         State = "INITIALISING" //nolint:misspell // Bitbucket's spelling
	StateInitialisationFailed State = "INITIALISATION_FAILED"
	StateOffline              State = "OFFLINE"
)

// Repository is what Bitbucket says of a repository.
type Repository struct {
	ID          RepoID
	Address            // in canonical spelling
	Name        string // as people see it
	ProjectName string
	Personal    bool // its project is a person's
	State       State
	Archived    bool // by the field from 8.0 on, by the label "archived" before
	// ArchivedUnknown is set when Bitbucket could not be asked whether the repository is
	// archived. Archived means nothing then: the stored flag stands.
	ArchivedUnknown bool
	Fork            bool
	CloneHTTP       string // clone address without user info; "" where HTTP is off
	CloneSSH        string // "" where SSH is off
}

// PathKind says what a path of a repository is.
type PathKind int

// The kinds of path. A symbolic link is a file.
const (
	PathFile PathKind = iota + 1
	PathDirectory
	PathSubmodule
)

// PullRequest is what a link needs to know of a pull request.
type PullRequest struct {
	Number int64
	From   PullRequestRef
	To     PullRequestRef
}

// PullRequestRef is one side of a pull request. The repository of the from side can be
// another one, deleted or unreadable.
type PullRequestRef struct {
	Ref        string  // full ref name: refs/heads/x
	Commit     string  // 40 hexadecimal digits
	Repository Address // as far as Bitbucket told it
	Number     int64   // numeric id of that repository; 0 where unknown
}
