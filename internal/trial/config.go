package trial

import (
	"encoding/json"
	"os"
	"path/filepath"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// Config is a site configuration.
type Config struct {
	ExternalURL           string       `json:"externalURL,omitempty"`
	PrimaryURL            string       `json:"primaryURL"`
	BitbucketServer       []Connection `json:"bitbucketServer"`
	DisableAutoGitUpdates bool         `json:"disableAutoGitUpdates,omitempty"`
	GitEngine             string       `json:"gitEngine,omitempty"`
	MinFreeDiskPercent    *int         `json:"minFreeDiskPercent,omitempty"`
}

// Connection is an entry of bitbucketServer.
type Connection struct {
	Name            string              `json:"name,omitempty"`
	URL             string              `json:"url"`
	Aliases         []string            `json:"aliases,omitempty"`
	Token           string              `json:"token,omitempty"`
	Username        string              `json:"username,omitempty"`
	Password        string              `json:"password,omitempty"`
	Certificate     string              `json:"certificate,omitempty"`
	GitURLType      string              `json:"gitURLType,omitempty"`
	GitSSH          *SSHCredential      `json:"gitSSHCredential,omitempty"`
	Pattern         string              `json:"repositoryPathPattern,omitempty"`
	Exclude         []map[string]string `json:"exclude,omitempty"`
	ExcludePersonal bool                `json:"excludePersonalRepositories,omitempty"`
	RateLimit       *RateLimit          `json:"rateLimit,omitempty"`
	Webhooks        *Webhooks           `json:"webhooks,omitempty"`
}

// As puts an account into an entry: its token where the version has them.
func (c Connection) As(account bitbuckettest.Credentials) Connection {
	c.Username = account.Username
	if account.Token != "" {
		c.Token = account.Token
	} else {
		c.Password = account.Password
	}
	return c
}

// SSHCredential is the entry gitSSHCredential.
type SSHCredential struct {
	PrivateKey string `json:"privateKey"`
	Passphrase string `json:"passphrase,omitempty"`
	KnownHosts string `json:"knownHosts"`
}

// RateLimit is the entry of that name.
type RateLimit struct {
	Enabled bool `json:"enabled"`
}

// Webhooks is the entry of that name.
type Webhooks struct {
	Secret string `json:"secret,omitempty"`
}

// ConnectionName is what ConfigFor calls the connection.
const ConnectionName = "bitbucket"

// ConfigFor returns a configuration for a double, without a rate limit and without a floor of
// free space. engine is "" for the default.
func ConfigFor(d *Double, engine string) Config {
	c := Connection{Name: ConnectionName, URL: d.URL(), RateLimit: &RateLimit{Enabled: false}}.As(d.Admin())
	return Config{
		PrimaryURL: "https://sourcegraph.example.com", BitbucketServer: []Connection{c},
		GitEngine: engine, MinFreeDiskPercent: new(int),
	}
}

// WriteFile writes the configuration into a file, beside it and renamed.
func (c Config) WriteFile(path string) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	beside := path + ".new"
	if err := os.WriteFile(beside, text, 0o600); err != nil {
		return err
	}
	return os.Rename(beside, filepath.Clean(path))
}
