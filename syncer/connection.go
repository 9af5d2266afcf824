package syncer

import (
	"reflect"
	"slices"
	"sync/atomic"

	"example.com/signpost/internal/siteconfig"
)

// connection is a configured connection and what this process knows of it. A changed
// entry of the configuration gets a new one.
type connection struct {
	*siteconfig.Connection
	selection    *Selection
	selectionErr error // an exclude that cannot be read; then nothing is listed
	credential   *credential
	key          sshKey
	changed      atomic.Bool // list it at the next sweep, due or not
	unsettled    atomic.Bool // the index does not agree with the selection yet; see settle
	moved        atomic.Bool // the records are of another server; see findMoved
	claimed      atomic.Bool // they are this one's; see claim
	foreign      atomic.Bool // some of their mirrors are of another server; see dropForeign
}

func newConnection(c *siteconfig.Connection) *connection {
	conn := &connection{Connection: c, credential: newCredential()}
	conn.selection, conn.selectionErr = NewSelection(c)
	return conn
}

// same tells that an entry says what this connection was made of.
func (c *connection) same(entry *siteconfig.Connection) bool {
	return reflect.DeepEqual(c.Connection, entry)
}

// sameSelection tells that an entry selects what this connection selects.
func (c *connection) sameSelection(entry *siteconfig.Connection) bool {
	return c.ExcludePersonal == entry.ExcludePersonal && c.Archived == entry.Archived &&
		slices.Equal(c.Exclude, entry.Exclude) && slices.Equal(c.Repos, entry.Repos) &&
		slices.Equal(c.ProjectKeys, entry.ProjectKeys) && slices.Equal(c.RepositoryQuery, entry.RepositoryQuery)
}
