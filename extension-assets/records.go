package extension

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io/fs"

	"example.com/signpost/internal/siteconfig"
)

// ErrNoKey means that no signing key is stored yet.
var ErrNoKey = errors.New("no signing key is stored yet")

// Records keeps what of the extension must outlive every restart, also a power cut: a lost key would
// be another extension, and a version that falls an update that no browser takes. The database fills it in,
// with the key encrypted at rest. Safe for concurrent use, by several processes too where the database has several.
type Records interface {
	// ExtensionKey returns the signing key, or ErrNoKey.
	ExtensionKey(ctx context.Context) (siteconfig.Secret, error)
	// SaveExtensionKey stores the signing key unless there is one, and returns the one that is there
	// afterwards: of several callers all get the same.
	SaveExtensionKey(ctx context.Context, key siteconfig.Secret) (siteconfig.Secret, error)
	// ExtensionVersion returns the version number of what has this digest: that of the last call if
	// it was for the same digest, and one more otherwise. The first is 1.
	ExtensionVersion(ctx context.Context, digest string) (int64, error)
}

// Pack builds the packages of a configuration with the key and the version that records keeps. The first
// call makes the key. Errors are those of Build and of records.
func Pack(ctx context.Context, records Records, source fs.FS, c Configuration, signed *SignedXPI) (*Packages, error) {
	if err := c.Check(); err != nil { // before a key is made for nothing
		return nil, err
	}
	key, err := signingKey(ctx, records)
	if err != nil {
		return nil, err
	}
	in := Input{Configuration: c, Key: key, Source: source, Signed: signed}
	digest, err := Digest(in)
	if err != nil {
		return nil, err
	}
	number, err := records.ExtensionVersion(ctx, digest)
	if err != nil {
		return nil, err
	}
	in.Version = VersionText(number)
	return Build(in)
}

func signingKey(ctx context.Context, records Records) (*rsa.PrivateKey, error) {
	stored, err := records.ExtensionKey(ctx)
	if errors.Is(err, ErrNoKey) {
		if stored, err = NewKey(); err != nil {
			return nil, fmt.Errorf("extension: %w", err)
		}
		stored, err = records.SaveExtensionKey(ctx, stored)
	}
	if err != nil {
		return nil, err
	}
	key, err := ParseKey(stored)
	if err != nil {
		return nil, fmt.Errorf("extension: %w", err)
	}
	return key, nil
}
