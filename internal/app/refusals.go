package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"

	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

// refusalTime bounds what is stored about refusals.
const refusalTime = 10 * time.Second

// refusals remembers in the database which credentials Bitbucket refused: five wrong logins in
// a row lock an account, and a supervisor that restarts a process would try each time. A site
// configuration that is stored anew, or a file whose text has changed, forgives: who changed it
// may have mended the account. Safe for concurrent use.
type refusals struct {
	store  syncer.RefusalStore
	log    *slog.Logger
	digest atomic.Pointer[[sha256.Size]byte] // of the text of the configuration in effect; nil before the first
}

// recall returns what is remembered of the credentials of the first configuration of this
// process, by the names of their connections; nothing of a later one, which forgives.
func (r *refusals) recall(ctx context.Context, next *siteconfig.Config) map[string]*syncer.Refusal {
	if r.digest.Load() != nil {
		return nil
	}
	kept, err := r.store.Refusals(ctx)
	if err != nil {
		r.log.WarnContext(ctx, "what bitbucket refused before this start cannot be read, and is tried once", "err", err)
		return nil
	}
	recalled := make(map[string]*syncer.Refusal)
	for _, refusal := range kept {
		for i := range next.Connections {
			c := &next.Connections[i]
			if c.Name == refusal.Connection && refusal.Mark == markOf(next.TextDigest, c) {
				recalled[c.Name] = &refusal
			}
		}
	}
	return recalled
}

// inEffect notes which configuration runs, and tells whether it is the first of this process.
func (r *refusals) inEffect(config *siteconfig.Config) (first bool) {
	return r.digest.Swap(&config.TextDigest) == nil
}

// remember stores that a credential was refused.
func (r *refusals) remember(c *siteconfig.Connection, refusal syncer.Refusal) {
	ctx, cancel := context.WithTimeout(context.Background(), refusalTime)
	defer cancel()
	r.log.WarnContext(ctx, "bitbucket refuses the credential, which is not used any more", "connection", refusal.Connection, "problem", refusal.Said)
	if digest := r.digest.Load(); digest != nil {
		refusal.Mark = markOf(*digest, c)
	}
	if err := r.store.SaveRefusal(ctx, refusal); err != nil {
		r.log.ErrorContext(ctx, "a refused credential will be tried again after a restart", "connection", refusal.Connection, "err", err)
	}
}

// forget forgets all refusals. It comes after the clients forgot theirs: one that is lost is tried once
// too often, one that stays would keep a good credential from its use after a restart.
func (r *refusals) forget() {
	ctx, cancel := context.WithTimeout(context.Background(), refusalTime)
	defer cancel()
	if err := r.store.ForgetRefusals(ctx); err != nil {
		r.log.ErrorContext(ctx, "credentials that were refused are not tried after a restart until the site configuration changes again", "err", err)
	}
}

// markOf returns what tells a credential, in a configuration with a text of this digest, from
// every other.
func markOf(digest [sha256.Size]byte, c *siteconfig.Connection) siteconfig.Secret {
	whole, err := json.Marshal([]string{
		hex.EncodeToString(digest[:]), c.BaseURL().String(), c.Token.Reveal(), c.Username, c.Password.Reveal(),
	})
	if err != nil {
		panic(err) // strings always encode
	}
	sum := sha256.Sum256(whole)
	return siteconfig.NewSecret(hex.EncodeToString(sum[:]))
}
