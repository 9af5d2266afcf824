package syncer

import (
	"context"
	"errors"
	"fmt"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

// checkedRepositories is how many repositories a check counts before it calls that enough.
const checkedRepositories = 5000

// CheckedHost is what a check asks. The REST client fills it in.
type CheckedHost interface {
	CodeHost
	// AdvertisesRefs asks git for the refs of the repository at a clone address over HTTP, as every fetch
	// does first. Errors wrap the sentinels of package bitbucket.
	AdvertisesRefs(ctx context.Context, cloneURL string) error
}

// Check is what trying a connection found out. Its texts are in plain words, without secrets.
type Check struct {
	Version string // of Bitbucket; "" when it did not tell
	Account string // that the credential belongs to; "" when not told
	Counted bool   // the next three hold something

	Repositories int // that the account can see
	Personal     int // of them, in people's own projects
	AtLeast      bool

	REST string // what is wrong with REST; "" when it works

	GitTried   bool
	Git        string // what is wrong with git, or why it was not tried; "" when it works
	Repository string // KEY/slug that git was tried on
}

// OK tells that REST and git work.
func (c Check) OK() bool { return c.REST == "" && c.GitTried && c.Git == "" }

// errEnough ends a listing that has told enough.
var errEnough = errors.New("enough is known")

// CheckConnection tries a connection: who the account is, what it can see, and whether git can read
// it. It stores nothing, and ends with ctx; what was found until then is in the Check. A refused
// credential is left alone as far as host does so.
func CheckConnection(ctx context.Context, c *siteconfig.Connection, host CheckedHost) Check {
	var check Check
	version, err := host.Version(ctx)
	if err != nil {
		check.REST, check.Git = inWords(err, c), "not tried, since REST does not work"
		return check
	}
	check.Version = version.String()
	if check.Account, err = host.Account(ctx); err != nil {
		check.REST, check.Git = inWords(err, c), "not tried, so that a credential that REST does not accept is not sent once more"
		return check
	}
	var first *bitbucket.Repository
	err = host.ListRepositories(ctx, ListQuery{}, func(page []bitbucket.Repository) error {
		check.Counted = true
		for _, r := range page {
			if first == nil && r.State == bitbucket.StateAvailable {
				first = &r
			}
			check.Repositories++
			if r.Personal {
				check.Personal++
			}
		}
		if check.Repositories >= checkedRepositories {
			return errEnough
		}
		return nil
	})
	check.AtLeast = err != nil
	if err == nil {
		check.Counted = true
	} else if !errors.Is(err, errEnough) && !isArchivedUnknown(err) && (ctx.Err() == nil || !check.Counted) {
		check.REST = inWords(err, c)
	}
	check.git(ctx, c, host, first)
	return check
}

// git tries git on a repository, nil where there is none.
func (c *Check) git(ctx context.Context, conn *siteconfig.Connection, host CheckedHost, r *bitbucket.Repository) {
	switch {
	case r == nil:
		c.Git = "not tried, since the account sees no repository that can be read; give it read permission in Bitbucket"
		return
	case conn.GitURLType == "ssh":
		c.Git = "not tried: git over SSH is not checked here"
		return
	}
	address, err := cloneURL(conn, *r)
	if err != nil {
		c.Git = inWords(err, conn)
		return
	}
	c.GitTried, c.Repository = true, r.String()
	if err := host.AdvertisesRefs(ctx, address); err != nil {
		c.Git = fmt.Sprintf("%s: %s", r, inWords(err, conn))
	}
}
