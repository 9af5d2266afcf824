package store

import (
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// recordRow is a repository of the index without its former addresses.
type recordRow struct {
	bun.BaseModel `bun:"table:repositories,alias:r"`

	Connection    string  `bun:"connection,pk"`
	Number        int64   `bun:"number,pk"`
	ProjectKey    string  `bun:"project_key"`
	Slug          string  `bun:"slug"`
	FoldedAddress *string `bun:"folded_address"` // nil while another repository has the address
	Name          string  `bun:"name"`
	ProjectName   string  `bun:"project_name"`
	Personal      bool    `bun:"personal"`
	State         string  `bun:"state"`
	Archived      bool    `bun:"archived"`
	Fork          bool    `bun:"fork"`
	CloneHTTP     string  `bun:"clone_http"`
	CloneSSH      string  `bun:"clone_ssh"`
	Selected      bool    `bun:"selected"`
	Reason        string  `bun:"reason"`
	MissingSince  int64   `bun:"missing_since"`
	ChangedIn     int64   `bun:"changed_in"` // the newest listing when the row last changed
	LeftAt        int64   `bun:"left_at"`    // when it left the selection; 0 while it is selected
	ForeignMirror bool    `bun:"foreign_mirror"`

	mirrorColumns
}

// mirrorColumns are the columns that SaveMirror writes, and nothing else does.
type mirrorColumns struct {
	LastFetch     int64  `bun:"last_fetch"`
	LastChange    int64  `bun:"last_change"`
	NextFetch     int64  `bun:"next_fetch"`
	Failures      int    `bun:"failures"`
	Error         string `bun:"error"`
	RefsDigest    string `bun:"refs_digest"`
	DefaultBranch string `bun:"default_branch"`
	SizeBytes     int64  `bun:"size_bytes"`
	Empty         bool   `bun:"empty"`
}

// foundColumns are the columns that a listing or a lookup writes.
var foundColumns = []string{
	"project_key", "slug", "folded_address", "name", "project_name", "personal", "state", "archived", "fork",
	"clone_http", "clone_ssh", "selected", "reason", "missing_since", "changed_in", "left_at",
}

// mirrorColumnNames are the columns of mirrorColumns.
var mirrorColumnNames = []string{
	"last_fetch", "last_change", "next_fetch", "failures", "error", "refs_digest", "default_branch", "size_bytes", "empty",
}

// recordColumnNames are all columns, in the order of scanTargets.
var recordColumnNames = slices.Concat([]string{"connection", "number", "foreign_mirror"}, foundColumns, mirrorColumnNames)

// scanTargets returns where the columns of recordColumnNames go. Reading the whole index
// goes this way, which is several times as fast as by reflection.
func (r *recordRow) scanTargets() []any {
	return []any{
		&r.Connection, &r.Number, &r.ForeignMirror,
		&r.ProjectKey, &r.Slug, &r.FoldedAddress, &r.Name, &r.ProjectName, &r.Personal, &r.State, &r.Archived, &r.Fork,
		&r.CloneHTTP, &r.CloneSSH, &r.Selected, &r.Reason, &r.MissingSince, &r.ChangedIn, &r.LeftAt,
		&r.LastFetch, &r.LastChange, &r.NextFetch, &r.Failures, &r.Error, &r.RefsDigest, &r.DefaultBranch, &r.SizeBytes, &r.Empty,
	}
}

// newRecordRow returns the row of a repository that was just found.
func newRecordRow(connection string, found *syncer.Found) *recordRow {
	folded := fold(found.Address)
	return &recordRow{
		Connection:    connection,
		Number:        found.ID.Number,
		ProjectKey:    clean(found.Key),
		Slug:          clean(found.Slug),
		FoldedAddress: &folded,
		Name:          clean(found.Name),
		ProjectName:   clean(found.ProjectName),
		Personal:      found.Personal,
		State:         clean(string(found.State)),
		Archived:      found.Archived,
		Fork:          found.Fork,
		CloneHTTP:     clean(found.CloneHTTP),
		CloneSSH:      clean(found.CloneSSH),
		Selected:      found.Selected,
		Reason:        clean(found.Reason),
	}
}

// folded is the address in lower case, "" while the row has none.
func (r *recordRow) folded() string {
	if r.FoldedAddress == nil {
		return ""
	}
	return *r.FoldedAddress
}

// sameFound tells whether what a listing says of both rows is the same.
func (r *recordRow) sameFound(other *recordRow) bool {
	a, b := *r, *other
	for _, row := range []*recordRow{&a, &b} {
		row.FoldedAddress, row.ChangedIn, row.LeftAt, row.ForeignMirror, row.mirrorColumns = nil, 0, 0, false, mirrorColumns{}
	}
	return a == b && r.folded() == other.folded()
}

// record returns the row as the syncer knows it, with its former addresses.
func (r *recordRow) record(former []bitbucket.Address) syncer.Record {
	return syncer.Record{
		Repository: bitbucket.Repository{
			ID:          bitbucket.RepoID{Connection: r.Connection, Number: r.Number},
			Address:     bitbucket.Address{Key: r.ProjectKey, Slug: r.Slug},
			Name:        r.Name,
			ProjectName: r.ProjectName,
			Personal:    r.Personal,
			State:       bitbucket.State(r.State),
			Archived:    r.Archived,
			Fork:        r.Fork,
			CloneHTTP:   r.CloneHTTP,
			CloneSSH:    r.CloneSSH,
		},
		Former:       former,
		Selected:     r.Selected,
		Reason:       r.Reason,
		Foreign:      r.ForeignMirror,
		MissingSince: fromNanos(r.MissingSince),
		Mirror: syncer.MirrorStatus{
			LastFetch:     fromNanos(r.LastFetch),
			LastChange:    fromNanos(r.LastChange),
			NextFetch:     fromNanos(r.NextFetch),
			Failures:      r.Failures,
			Error:         r.Error,
			RefsDigest:    r.RefsDigest,
			DefaultBranch: r.DefaultBranch,
			SizeBytes:     r.SizeBytes,
			Empty:         r.Empty,
		},
	}
}

// newMirrorColumns returns the columns of a mirror's status.
func newMirrorColumns(status *syncer.MirrorStatus) mirrorColumns {
	return mirrorColumns{
		LastFetch:     toNanos(status.LastFetch),
		LastChange:    toNanos(status.LastChange),
		NextFetch:     toNanos(status.NextFetch),
		Failures:      status.Failures,
		Error:         clean(status.Error),
		RefsDigest:    clean(status.RefsDigest),
		DefaultBranch: clean(status.DefaultBranch),
		SizeBytes:     status.SizeBytes,
		Empty:         status.Empty,
	}
}

// formerRow is an address that a repository had before.
type formerRow struct {
	bun.BaseModel `bun:"table:former_addresses,alias:f"`

	Connection    string `bun:"connection,pk"`
	FoldedAddress string `bun:"folded_address,pk"`
	Number        int64  `bun:"number"`
	ProjectKey    string `bun:"project_key"`
	Slug          string `bun:"slug"`
	LeftAt        int64  `bun:"left_at"`
}

// fold returns the address as it is compared. Go folds it, not the database: databases
// differ in what they take for a letter.
func fold(a bitbucket.Address) string { return strings.ToLower(clean(a.Key) + "/" + clean(a.Slug)) }

// clean makes text storable: no database takes a NUL in a text, and some refuse what is
// not UTF-8. Both become U+FFFD.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// toNanos returns t as nanoseconds since 1970, 0 for the zero time.
func toNanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// fromNanos is the inverse of toNanos, in UTC.
func fromNanos(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}
