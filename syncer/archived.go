package syncer

import (
	"context"
	"errors"
	"fmt"

	"example.com/signpost/internal/bitbucket"
)

// withStoredFlag returns r as it is to be decided about and stored: where Bitbucket could not
// be asked whether r is archived, the stored flag stands. What is not stored counts as active.
func (s *Syncer) withStoredFlag(ctx context.Context, r bitbucket.Repository) (bitbucket.Repository, error) {
	if !r.ArchivedUnknown {
		return r, nil
	}
	known, err := s.opts.Records.Record(ctx, r.ID)
	if err != nil && !errors.Is(err, ErrNoRecord) {
		return bitbucket.Repository{}, fmt.Errorf("read the record of %s: %w", r.ID, err)
	}
	if known.Foreign {
		known = Record{}
	}
	return standing(r, known), nil
}

// standing is withStoredFlag with the record at hand, zero when there is none.
func standing(r bitbucket.Repository, known Record) bitbucket.Repository {
	if r.ArchivedUnknown {
		r.Archived, r.ArchivedUnknown = known.Archived, false
	}
	return r
}

// isArchivedUnknown tells that a question was answered but for which repositories are
// archived. A refused credential is no such thing: nothing more can be asked with it.
func isArchivedUnknown(err error) bool {
	return errors.Is(err, bitbucket.ErrArchivedUnknown) && !errors.Is(err, bitbucket.ErrUnauthorized) && !errors.Is(err, bitbucket.ErrCaptcha)
}
