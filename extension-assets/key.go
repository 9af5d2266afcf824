package extension

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	"example.com/signpost/internal/siteconfig"
)

// keyBits is the size of a new signing key. Chromium takes 2048 and more; more would make each
// signature, and nothing else, slower.
const keyBits = 2048

// errKey says nothing of what was read: it may be most of a key.
var errKey = errors.New("the stored signing key of the extension is not one: put back a backup of the database")

// NewKey makes a signing key, as PKCS #8 in base64. It takes up to seconds on a small machine.
func NewKey() (siteconfig.Secret, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return siteconfig.Secret{}, fmt.Errorf("make a signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return siteconfig.Secret{}, fmt.Errorf("make a signing key: %w", err)
	}
	return siteconfig.NewSecret(base64.StdEncoding.EncodeToString(der)), nil
}

// ParseKey reads what NewKey made.
func ParseKey(secret siteconfig.Secret) (*rsa.PrivateKey, error) {
	der, err := base64.StdEncoding.DecodeString(secret.Reveal())
	if err != nil {
		return nil, errKey
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok || key.N.BitLen() < keyBits {
		return nil, errKey
	}
	return key, nil
}

// publicKey returns the key's SubjectPublicKeyInfo: what Chromium knows an extension by.
func publicKey(key *rsa.PrivateKey) ([]byte, error) {
	return x509.MarshalPKIXPublicKey(&key.PublicKey)
}

// crxID returns the 16 bytes that name an extension whose key this is.
func crxID(public []byte) []byte {
	digest := sha256.Sum256(public)
	return digest[:16]
}

// chromeID writes an id as Chromium does: hexadecimal, with a to p for the digits.
func chromeID(id []byte) string {
	text := make([]byte, 0, 2*len(id))
	for _, b := range id {
		text = append(text, 'a'+b>>4, 'a'+b&15)
	}
	return string(text)
}

// firefoxID is the add-on's id. It is made of the key's, as that of Chrome, so that it stays when
// the server gets another name.
func firefoxID(chromeID string) string { return chromeID + "@signpost" }

// ChromeID returns the id that Chrome and Edge give to an extension with this key: 32 letters.
func ChromeID(key *rsa.PrivateKey) (string, error) {
	public, err := publicKey(key)
	if err != nil {
		return "", err
	}
	return chromeID(crxID(public)), nil
}
