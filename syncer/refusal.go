package syncer

import (
	"context"
	"time"

	"example.com/signpost/internal/siteconfig"
)

// Refusal is what must outlive the process about a credential that Bitbucket refused: a
// restart is no reason to try it again, since five wrong logins in a row lock the account.
type Refusal struct {
	Connection string
	// Mark tells this credential, as this site configuration has it, from every other. A store keeps it
	// encrypted.
	Mark    siteconfig.Secret
	Said    string    // what Bitbucket said, in words for administrators, without secrets
	Captcha bool      // it wants a CAPTCHA solved; otherwise it does not accept the credential
	At      time.Time // when it said so
}

// RefusalStore keeps the last refusal of each connection. Safe for concurrent use.
type RefusalStore interface {
	// SaveRefusal keeps a refusal in place of an earlier one of its connection.
	SaveRefusal(ctx context.Context, r Refusal) error
	// Refusals returns those that are kept, in the order of the connections' names.
	Refusals(ctx context.Context) ([]Refusal, error)
	// ForgetRefusals forgets all of them.
	ForgetRefusals(ctx context.Context) error
}
