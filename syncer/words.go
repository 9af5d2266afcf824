package syncer

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"unicode"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

const (
	// maxDetail bounds what an error adds to a sentence, in bytes.
	maxDetail = 400
	// maxHostDetail is maxDetail where a line for known_hosts is to be copied: an RSA key of 4096 bits has 716 characters.
	maxHostDetail = 1200
)

// advice holds the sentence for each error that administrators meet, and its label in
// metrics. The first that fits counts, so the particular ones come first.
var advice = []struct {
	err      error
	kind     string
	sentence string
}{
	{errSuspended, "suspended", "Bitbucket does not answer; Signpost goes on by itself when it does"},
	{errUnreadable, "forbidden", "Bitbucket accepts the credential, but not for reading this repository; give the account read permission, or leave the repository out of the selection"},
	{errReconfigured, "reconfigured", "nothing is removed, and the connection is listed anew by itself"},
	{bitbucket.ErrCaptcha, "captcha", "Bitbucket has locked the account; log in with it in a browser and solve the CAPTCHA, and see that its password is the one of the connection"},
	{bitbucket.ErrTokensUnsupported, "tokens_unsupported", "this Bitbucket is older than 5.5 and has no access tokens; use username and password"},
	{bitbucket.ErrKeyRefused, "key_refused", "Bitbucket refused the SSH key; add its public key to the account that Signpost uses, or as an access key, or correct gitSSHCredential"},
	{bitbucket.ErrUntrustedHost, "untrusted_host", "the SSH server is not one that gitSSHCredential.knownHosts vouches for; nothing was sent to it; if it is the right one, add its key there"},
	{errNoSSH, "no_ssh", "SSH is switched off on that Bitbucket; have its administrator switch it on, or set gitURLType to \"http\""},
	{bitbucket.ErrUnauthorized, "unauthorized", "Bitbucket refused the credential; check token, or username and password, of the connection"},
	{bitbucket.ErrArchivedUnknown, "archived_unknown", "Bitbucket could not be asked for the label \"archived\"; the last answer stands, nothing is removed, and Signpost tries again by itself"},
	{bitbucket.ErrForbidden, "forbidden", "the account may not read this; give it read permission, or leave it out of the selection"},
	{bitbucket.ErrNotBitbucket, "not_bitbucket", "what answers is no Bitbucket Server; check url, and that no login page or proxy stands before it"},
	{bitbucket.ErrRateLimited, "rate_limited", "Bitbucket asks for fewer requests; lower rateLimit.requestsPerHour, or have the account exempted"},
	{ErrNoSpace, "no_space", "the disk of the mirrors is too full; make room, or lower minFreeDiskPercent; nothing that is mirrored is lost, and Signpost goes on by itself"},
	{ErrTooLarge, "too_large", "the repository needs more memory than memoryBudgetMiB allows; raise it, or leave the repository out of the selection; nothing that is mirrored is lost"},
	{context.DeadlineExceeded, "timeout", "it took longer than Signpost waits; see whether Bitbucket, or the network before it, is overloaded; Signpost tries again by itself"},
	{bitbucket.ErrUnavailable, "unavailable", "Bitbucket does not answer as it should; Signpost tries again by itself"},
	{bitbucket.ErrNotFound, "not_found", "it does not exist on Bitbucket, or the account may not see it; give the account read permission if it should be there"},
	{bitbucket.ErrIncompleteListing, "incomplete", "the listing broke off; nothing is removed, and Signpost tries again by itself"},
	{ErrNoConnection, "no_connection", "the site configuration has no such connection any more; nothing is fetched until it has"},
}

// inWords says what an error means to an administrator, with the error's own text as the
// detail. The connection's secrets are taken out of it: nothing that we call puts them in, but a
// proxy's error page may repeat a request.
func inWords(err error, c *siteconfig.Connection) string {
	if err == nil {
		return ""
	}
	limit := maxDetail
	if errors.Is(err, bitbucket.ErrUntrustedHost) {
		limit = maxHostDetail
	}
	detail := tidy(err.Error(), limit, c)
	for _, a := range advice {
		if errors.Is(err, a.err) {
			return a.sentence + " (" + detail + ")"
		}
	}
	return detail
}

// errorKind is the label of an error in metrics.
func errorKind(err error) string {
	for _, a := range advice {
		if errors.Is(err, a.err) {
			return a.kind
		}
	}
	return "other"
}

// tidy makes foreign text fit for a status: one line of at most so many bytes, without the secrets of c.
func tidy(text string, limit int, c *siteconfig.Connection) string {
	if c != nil {
		for _, secret := range []siteconfig.Secret{c.Token, c.Password, c.GitSSH.PrivateKey, c.GitSSH.Passphrase} {
			// A short one would blank out ordinary words, and is no secret worth the name.
			if v := secret.Reveal(); len(v) >= 4 {
				text = strings.NewReplacer(v, "[redacted]", url.QueryEscape(v), "[redacted]", url.PathEscape(v), "[redacted]").Replace(text)
			}
		}
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}
