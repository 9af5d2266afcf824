package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/uptrace/bun"
	"golang.org/x/crypto/nacl/secretbox"
)

// sealVersion is the first byte of what is sealed: this form is sealVersion, 24 bytes of
// nonce, and the secretbox of purpose + NUL + text.
const sealVersion = 1

const nonceSize = 24

// errNotOpened means that the box does not open with the key.
var errNotOpened = errors.New("the sealed text does not open")

// sealer encrypts and authenticates texts with the key of the data folder.
type sealer struct{ key [32]byte }

// seal encrypts text. The purpose, which has no NUL, says where the text belongs: it opens only there.
func (s *sealer) seal(purpose, text string) []byte {
	var nonce [nonceSize]byte
	_, _ = rand.Read(nonce[:]) // never fails, since Go 1.24
	box := append([]byte{sealVersion}, nonce[:]...)
	return secretbox.Seal(box, []byte(purpose+"\x00"+text), &nonce, &s.key)
}

// open decrypts what seal made for the same purpose. errNotOpened, or ErrDamaged when it
// opens and belongs elsewhere.
func (s *sealer) open(purpose string, sealed []byte) (string, error) {
	if len(sealed) < 1+nonceSize || sealed[0] != sealVersion {
		return "", errNotOpened
	}
	nonce := [nonceSize]byte(sealed[1:])
	plain, ok := secretbox.Open(nil, sealed[1+nonceSize:], &nonce, &s.key)
	if !ok {
		return "", errNotOpened
	}
	text, ok := strings.CutPrefix(string(plain), purpose+"\x00")
	if !ok {
		return "", fmt.Errorf("%w (it belongs elsewhere)", ErrDamaged)
	}
	return text, nil
}

// keyCheckRow is the row that tells whether a key is the database's.
type keyCheckRow struct {
	bun.BaseModel `bun:"table:key_checks"`

	ID     int64  `bun:"id,pk"`
	Sealed []byte `bun:"sealed"`
}

const keyCheckPurpose = "key check"

// checkKey remembers the key in a new database, and later looks whether it is the same:
// ErrWrongKey. So a replaced key shows when the program starts, and nothing is ever sealed
// with a second key.
func (s *Store) checkKey(ctx context.Context) error {
	return s.db.writer.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		row := keyCheckRow{ID: 1}
		err := tx.NewSelect().Model(&row).WherePK().Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			row.Sealed = s.sealer.seal(keyCheckPurpose, "")
			_, err = tx.NewInsert().Model(&row).Exec(ctx)
			return err
		}
		if err != nil {
			return err
		}
		if _, err := s.sealer.open(keyCheckPurpose, row.Sealed); err != nil {
			return ErrWrongKey
		}
		return nil
	})
}
