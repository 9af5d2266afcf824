package syncer

import "time"

// Refusal is what must outlive the process about a credential that Bitbucket refused: a
// restart is no reason to try it again, since five wrong logins in a row lock the account.
type Refusal struct {
	Connection string
	Said       string    // what Bitbucket said, in words for administrators, without secrets
	Captcha    bool      // it wants a CAPTCHA solved; otherwise it does not accept the credential
	At         time.Time // when it said so
}
