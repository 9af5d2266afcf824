// Package webhook is the place of what Bitbucket pushes: it will check the signature of a
// delivery over its raw bytes, and only then read it. Nothing is in it yet: mirrors are
// kept fresh by the schedule of package syncer, and the API has no webhook path.
package webhook
