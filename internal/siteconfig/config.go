package siteconfig

import (
	"crypto/sha256"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/sourcegraph"
)

// Config is a checked site configuration with its defaults filled in. It does not change
// after it was published; share it freely.
type Config struct {
	Version    int64             // of the stored text; rises with every change
	TextDigest [sha256.Size]byte // of the stored text, secrets included: not to be shown; zero where Check made it

	ExternalURL string               // "" when not set
	Primary     sourcegraph.Instance // zero when not set
	Connections []Connection         // in the file's order

	CORSOrigins            []string      // exact origins; by default those of the connections
	RepoListUpdateInterval time.Duration // between two listings of a connection
	MaxConcurrentClones    int
	DisableAutoGitUpdates  bool

	GitEngine          string        // EngineAuto, EngineGoGit or EngineGit
	MirrorGrace        time.Duration // how long the mirror of a repository that is gone or left out stays
	MinFreeDiskPercent int           // of the disk of the mirrors, for a new clone to begin; 0: no floor
	MemoryBudget       int64         // bytes that the process should stay within
}

// The values of GitEngine.
const (
	EngineAuto  = "auto"   // the git program where there is one, 2.32 or newer
	EngineGoGit = "go-git" // in this process
	EngineGit   = "git"    // the git program
)

// Connection is one entry of bitbucketServer.
type Connection struct {
	Name    string
	Server  bitbucket.Server // its url and aliases, normalised
	Pattern sourcegraph.PathPattern

	Token    Secret
	Username string
	Password Secret

	GitURLType     string // "http" or "ssh"
	GitSSH         SSHCredential
	CertificatePEM string // trusted beside the system's roots; "" for none

	ExcludePersonal bool
	Repos           []string
	ProjectKeys     []string
	RepositoryQuery []string
	Exclude         []Exclusion
	Archived        string // "include" or "exclude"

	RequestsPerHour int // 0: no limit
	MaxDeletions    int // 0: no limit
	WebhookSecret   Secret
}

// BaseURL returns the connection's address, without a slash at its end.
func (c *Connection) BaseURL() bitbucket.BaseURL { return c.Server.Addresses[0] }

// SSHCredential is what git over SSH needs.
type SSHCredential struct {
	PrivateKey Secret
	Passphrase Secret
	KnownHosts string
}

// Exclusion is one entry of exclude: exactly one of its fields is set.
type Exclusion struct {
	Name    string // KEY/slug, any case
	ID      int64
	Pattern string // a Go regexp, unanchored, case-sensitive, against KEY/slug
}
