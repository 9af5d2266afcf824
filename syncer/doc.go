// Package syncer decides which repositories are mirrored, when, and keeps the index and
// the mirrors up to date. It knows neither git nor SQL: Bitbucket is a CodeHost, the disk
// is Mirrors, the database is IndexStore, RecordReader and StatusStore, and River's
// client is a Queue.
//
// # What runs
//
// A sweep asks every few seconds what is due. A listing asks one connection for its
// repositories, decides about each (see Select) and streams them into the index. A fetch
// brings one mirror up to date and says when it wants the next one. All three are River
// jobs in the database that holds the state they change; RunOnce does the same in the
// foreground, without River.
//
// # Nothing is deleted on doubt
//
// A repository leaves the index only at the end of a listing that answered every question
// in full, under a credential that was checked before and after. A listing that fails, is
// cut short, misses a configured repository or project, or finds nothing at all adds and
// renames, and removes nothing.
//
// A mirror leaves the disk when its repository has been out of the selection, or its connection
// out of the site configuration, for the grace time: by the clock, and as this process has seen it;
// see cleanUp. What is found again before keeps its mirror. Repositories are known by their
// numbers, so a renamed or moved one keeps it too, and answers to its old address.
//
// Numbers mean nothing on another server. When the url of a connection names another one, which its
// addresses tell, its repositories have no link until they are found there, and their mirrors are removed before
// that: none is taken for one of the new server; see findMoved.
//
// # A new configuration
//
// What an administrator excludes has no link from the moment that SetConfig returns, whether
// Bitbucket answers or not: what the new selection certainly leaves out is decided from the
// records alone. What it takes in waits for the listing, or for the first lookup. A listing
// that began under another entry of its connection ends there.
//
// # Credentials
//
// Bitbucket locks an account after a few refused logins. So a credential is checked with
// one request before it is used by many, and one that was refused is not used again
// until a listing finds it accepted. The code host tries it anew only after the site
// configuration has changed.
package syncer
