package syncer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"example.com/signpost/internal/bitbucket"
)

// missingAsked is how many of the repositories that a listing lacks are asked for one by one: enough
// to find out that a list was cut short, and few enough for a Bitbucket from which thousands went.
const missingAsked = 20

// confirmMissing makes sure that repositories which a listing newly lacks are not there: a proxy, or a Bitbucket
// that starts or reindexes, can give a list that is in order and ends before its end. When one of them answers where
// it was, the list is not believed, and nothing is removed. A listing that found nothing at all removes
// nothing anyway.
func (l *listing) confirmMissing(ctx context.Context) error {
	if len(l.seen) == 0 {
		return nil
	}
	missing, err := l.newlyMissing(ctx)
	if err != nil {
		return err
	}
	for _, r := range missing {
		found, err := l.host.Repository(ctx, r.Address)
		switch {
		case errors.Is(err, bitbucket.ErrNotFound), errors.Is(err, bitbucket.ErrForbidden):
		case err != nil:
			return fmt.Errorf("ask for %s, which the listing lacks: %w", r.Address, err)
		case found.ID == r.ID && found.State == bitbucket.StateAvailable && l.stillTaken(found, r):
			l.doubts = append(l.doubts, fmt.Sprintf("the listing lacks %s, and perhaps more, which is there all the same; nothing is removed", r.Address))
			return nil
		}
	}
	return nil
}

// stillTaken tells that the listing should have had a repository that answered: at its address, or at one that it
// was given while the pages were read, which can leave it on none of them.
func (l *listing) stillTaken(found bitbucket.Repository, r Record) bool {
	if strings.EqualFold(found.String(), r.String()) {
		return true
	}
	_, taken := l.conn.takenBy(found, r)
	return taken == IsTaken
}

// newlyMissing returns some of the repositories that a selector certainly takes, and that this
// listing is the first to lack.
func (l *listing) newlyMissing(ctx context.Context) ([]Record, error) {
	var missing []Record
	errEnough := errors.New("enough")
	err := l.s.opts.Records.EachRecord(ctx, l.conn.Name, func(r Record) error {
		// Where another repository was found, this one is not any more.
		if _, found := l.seen[r.ID.Number]; found || !r.Selected || !r.MissingSince.IsZero() || l.addresses[strings.ToLower(r.String())] {
			return nil
		}
		if _, taken := l.conn.takenBy(r.Repository, r); taken != IsTaken {
			return nil
		}
		if missing = append(missing, r); len(missing) >= missingAsked {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, storeError{fmt.Errorf("read the records of %s: %w", l.conn.Name, err)}
	}
	return missing, nil
}
