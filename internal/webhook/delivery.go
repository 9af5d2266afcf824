package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"example.com/signpost/internal/bitbucket"
)

// ErrUnreadable means a body that no Bitbucket and no plugin sends: no JSON object, or one
// that is nested too deeply.
var ErrUnreadable = errors.New("the delivery is not one of a Bitbucket")

// maxDepth is how deeply a body may be nested. Bitbucket's are some ten levels deep: a pull
// request of a fork of a fork.
const maxDepth = 64

// Kind is what a delivery asks of this server.
type Kind int

// The kinds of delivery.
const (
	Other        Kind = iota // of no concern here: comments, forks, keys that are not known yet
	Ping                     // Bitbucket's test of the address
	Push                     // refs of a repository changed
	Modified                 // a repository has another name, project or description
	PullRequest              // something about a pull request
	Synchronized             // a smart mirror has caught up
)

// String returns the kind as a label of metrics.
func (k Kind) String() string {
	return [...]string{"other", "ping", "push", "repository_modified", "pull_request", "mirror_synchronized"}[k]
}

// Repository is a repository as a delivery names it. It is known by its number; by its
// address only where there is none, and never by its clone links: they may be missing, and
// lead to a name that Bitbucket has behind a proxy.
type Repository struct {
	Number  int64 // 0 when the delivery tells none, as the Post Webhooks plugin's
	Address bitbucket.Address
}

// IsZero tells that the delivery names no repository.
func (r Repository) IsZero() bool { return r.Number == 0 && r.Address == (bitbucket.Address{}) }

// at tells whether the repository is at an address, or the delivery does not say where it is.
func (r Repository) at(a bitbucket.Address) bool {
	return r.Address == (bitbucket.Address{}) || strings.EqualFold(r.Address.String(), a.String())
}

// Delivery is what a delivery says, as far as it matters.
type Delivery struct {
	Kind Kind
	// Repository is the one that changed: for a pull request the one that it goes to, for a
	// modified one as it is now. Zero for a Ping and for most others.
	Repository Repository
	// Former is a modified repository as it was before; zero for the other kinds.
	Former Repository
	// PullRequest is the number of the pull request; 0 for the other kinds.
	PullRequest int64
}

// Parse reads the body of a delivery whose X-Event-Key is key; "" for those of Atlassian's
// Post-Receive plugin, which sends none: then the shape of the body tells what it is. The
// header wins over the eventKey of the body: mirrors of Bitbucket 6.5 send two that differ.
// What is not known is Other, without an error. ErrUnreadable.
func Parse(key string, body []byte) (Delivery, error) {
	if tooDeep(body) {
		return Delivery{}, ErrUnreadable
	}
	var raw payload
	if err := json.Unmarshal(body, &raw); err != nil || !isObject(body) {
		return Delivery{}, ErrUnreadable
	}
	if key == "" {
		key = string(raw.EventKey)
	}
	kind := kindOf(key)
	if key == "" {
		kind = raw.kindByShape()
	}
	d := Delivery{Kind: kind}
	switch kind {
	case Push, Synchronized:
		d.Repository = raw.Repository.repository()
	case Modified:
		d.Repository, d.Former = raw.New.repository(), raw.Old.repository()
	case PullRequest:
		d.Repository = raw.PullRequest.ToRef.Repository.repository()
		d.PullRequest = int64(raw.PullRequest.ID)
		if d.Repository.IsZero() {
			d.Repository = raw.Repository.repository()
		}
	case Ping, Other:
		return d, nil
	}
	if d.Repository.IsZero() {
		// A key of today with a shape of tomorrow: nothing can be done about it.
		return Delivery{Kind: Other}, nil
	}
	return d, nil
}

// kindOf tells the kind of an X-Event-Key.
func kindOf(key string) Kind {
	switch {
	case key == pingKey:
		return Ping
	case key == "repo:refs_changed", key == "repo:push": // built-in, and the Post Webhooks plugin's
		return Push
	case key == "repo:modified":
		return Modified
	case key == "mirror:repo_synchronized":
		return Synchronized
	case strings.HasPrefix(key, "pr:"), strings.HasPrefix(key, "pullrequest:"): // the latter the plugin's
		return PullRequest
	}
	return Other
}

// pingKey is the X-Event-Key of the test that an administrator starts in Bitbucket.
const pingKey = "diagnostics:ping"

// IsPing tells whether an X-Event-Key is that of Bitbucket's test. It may come unsigned, and
// says nothing.
func IsPing(key string) bool { return key == pingKey }

// payload is the union of what is read of all payloads.
type payload struct {
	EventKey    text            `json:"eventKey"`
	Repository  repositoryJSON  `json:"repository"`
	Old         repositoryJSON  `json:"old"`
	New         repositoryJSON  `json:"new"`
	PullRequest pullRequestJSON `json:"pullRequest"`
	RefChanges  json.RawMessage `json:"refChanges"` // of Post-Receive and of Sourcegraph's plugin
	Push        json.RawMessage `json:"push"`       // of the Post Webhooks plugin
	Test        json.RawMessage `json:"test"`
}

// kindByShape tells the kind of a payload that comes without any key.
func (p *payload) kindByShape() Kind {
	switch {
	case p.RefChanges != nil, p.Push != nil:
		return Push
	case !p.PullRequest.ToRef.Repository.repository().IsZero():
		return PullRequest
	case p.Test != nil && p.Repository.repository().IsZero():
		return Ping
	}
	return Other
}

type pullRequestJSON struct {
	ID    integer `json:"id"`
	ToRef struct {
		Repository repositoryJSON `json:"repository"`
	} `json:"toRef"`
}

// UnmarshalJSON implements json.Unmarshaler: what is no object counts as absent.
func (p *pullRequestJSON) UnmarshalJSON(b []byte) error {
	type plain pullRequestJSON
	return unmarshalObject(b, (*plain)(p))
}

type repositoryJSON struct {
	ID      integer `json:"id"`
	Slug    text    `json:"slug"`
	Project struct {
		Key text `json:"key"`
	} `json:"project"`
}

// UnmarshalJSON implements json.Unmarshaler: what is no object counts as absent.
func (r *repositoryJSON) UnmarshalJSON(b []byte) error {
	type plain repositoryJSON
	return unmarshalObject(b, (*plain)(r))
}

// unmarshalObject reads an object into v, and leaves v as it is for anything else, also for an
// object in which something stands that cannot stand there.
func unmarshalObject(b []byte, v any) error {
	if !isObject(b) {
		return nil
	}
	var wrongType *json.UnmarshalTypeError
	if err := json.Unmarshal(b, v); err != nil && !errors.As(err, &wrongType) {
		return err
	}
	return nil
}

func isObject(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '{'
}

// repository returns what is named. Half an address is none.
func (r *repositoryJSON) repository() Repository {
	found := Repository{Number: int64(r.ID)}
	if r.Project.Key != "" && r.Slug != "" {
		found.Address = bitbucket.Address{Key: string(r.Project.Key), Slug: string(r.Slug)}
	}
	return found
}

// maxText bounds a key, a slug and an event key, in bytes. Bitbucket's are at most 128 long.
const maxText = 512

// text is a string that can be part of an address; anything else counts as absent.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil || len(s) > maxText || strings.ContainsAny(s, "/\\\x00") || !utf8.ValidString(s) {
		s = ""
	}
	*t = text(s)
	return nil
}

// integer is a positive number, which newer versions may send as a string; anything else
// counts as absent.
type integer int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *integer) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64)
	if err != nil || v < 0 {
		v = 0
	}
	*n = integer(v)
	return nil
}

// tooDeep tells whether a body is nested more deeply than maxDepth. It does not check that
// it is JSON.
func tooDeep(body []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return false
}
