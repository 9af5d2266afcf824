package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"example.com/signpost/internal/siteconfig"
)

// ErrSignature means that a delivery is not signed with the connection's secret.
var ErrSignature = errors.New("the delivery is not signed with the webhook secret of the connection")

// signaturePrefix is what Bitbucket puts before the digest. Sourcegraph's plugin leaves it out.
const signaturePrefix = "sha256="

// Sign returns the X-Hub-Signature of a body, as Bitbucket writes it.
func Sign(secret siteconfig.Secret, body []byte) string {
	return signaturePrefix + hex.EncodeToString(digest(secret, body))
}

// Verify returns nil when the X-Hub-Signature is that of the raw body under the secret, with
// or without its prefix, and ErrSignature otherwise: also for an empty secret, which is no key. How
// long it takes tells nothing of the right signature.
func Verify(secret siteconfig.Secret, signature string, body []byte) error {
	claimed, ok := parseSignature(signature)
	if !ok || secret.IsZero() || !hmac.Equal(claimed, digest(secret, body)) {
		return ErrSignature
	}
	return nil
}

// parseSignature reads a header that could be a signature of any body.
func parseSignature(header string) ([]byte, bool) {
	claimed, err := hex.DecodeString(strings.TrimPrefix(header, signaturePrefix))
	return claimed, err == nil && len(claimed) == sha256.Size
}

func digest(secret siteconfig.Secret, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	_, _ = mac.Write(body) // a hash takes everything
	return mac.Sum(nil)
}
