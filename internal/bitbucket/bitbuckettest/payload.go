package bitbuckettest

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// deliveryTime is how a delivery writes a time: the zone has no colon.
const deliveryTime = "2006-01-02T15:04:05-0700"

// What follows writes the bodies of deliveries. All are called with mu held, but for those
// that say otherwise.

// writer is a call that nobody made: it writes objects as answers have them.
func (s *Server) writer() (*call, *user, error) {
	var actor *user
	for _, u := range s.users {
		if actor == nil || u.ID < actor.ID {
			actor = u
		}
	}
	if actor == nil {
		return nil, nil, errNoUser
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.baseURL, http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	return &call{server: s, r: r, kind: KindREST}, actor, nil
}

// shown is a part of a delivery: the first versions have no links in it.
func (s *Server) shown(o object) object {
	if s.switches.linksInDeliveries {
		return o
	}
	return withoutLinks(o).(object)
}

func withoutLinks(value any) any {
	switch v := value.(type) {
	case object:
		kept := object{}
		for _, m := range v {
			if m.key != "links" {
				m.value = withoutLinks(m.value)
				kept = append(kept, m)
			}
		}
		return kept
	case list:
		kept := list{}
		for _, element := range v {
			kept = append(kept, withoutLinks(element))
		}
		return kept
	}
	return value
}

// envelopeOf is what every delivery begins with.
func (s *Server) envelopeOf(c *call, actor *user, event string, rest ...member) object {
	return append(object{
		field("eventKey", event),
		field("date", s.now().Format(deliveryTime)),
		field("actor", s.shown(c.userObject(actor))),
	}, rest...)
}

// refChange is a ref that a push changed. The hash of a ref that is not there is zero.
type refChange struct{ name, from, to string }

var zeroHash = strings.Repeat("0", 40)

func (r refChange) kind() string {
	switch {
	case r.from == zeroHash:
		return "ADD"
	case r.to == zeroHash:
		return "DELETE"
	}
	return "UPDATE"
}

// short returns the name that people use, and the type of the ref.
func (r refChange) short() (name, kind string) {
	if tag, ok := strings.CutPrefix(r.name, "refs/tags/"); ok {
		return tag, "TAG"
	}
	return strings.TrimPrefix(r.name, "refs/heads/"), "BRANCH"
}

// refChanges compares two lists of refs.
func refChanges(before, after []gitRef) []refChange {
	var changes []refChange
	was := map[string]string{}
	for _, ref := range before {
		was[ref.name] = ref.object
	}
	for _, ref := range after {
		from, known := was[ref.name]
		delete(was, ref.name)
		switch {
		case !known:
			changes = append(changes, refChange{ref.name, zeroHash, ref.object})
		case from != ref.object:
			changes = append(changes, refChange{ref.name, from, ref.object})
		}
	}
	for _, ref := range before { // in their order
		if _, gone := was[ref.name]; gone {
			changes = append(changes, refChange{ref.name, ref.object, zeroHash})
		}
	}
	return changes
}

// refsAnnouncer remembers the refs of a repository, and returns what tells the webhooks how they have
// changed since. Called with r.git held and without mu, and so is what it returns.
func (s *Server) refsAnnouncer(r *repository) (announce func() error, err error) {
	s.mu.RLock()
	heard := s.isHeard(r)
	s.mu.RUnlock()
	if !heard {
		return func() error { return nil }, nil
	}
	refs := func() ([]gitRef, error) { return s.refs(context.Background(), r.dir, "refs/heads/", "refs/tags/") }
	before, err := refs()
	if err != nil {
		return nil, err
	}
	return func() error {
		after, err := refs()
		if err != nil {
			return err
		}
		if changes := refChanges(before, after); len(changes) > 0 {
			return s.announceRefs(r, changes)
		}
		return nil
	}, nil
}

// announceRefs is called without mu.
func (s *Server) announceRefs(r *repository, changes []refChange) error {
	s.mu.RLock()
	c, actor, err := s.writer()
	d := r.description()
	s.mu.RUnlock()
	if err != nil {
		return err
	}
	var commits []member
	if last := changes[len(changes)-1]; s.switches.commitsInDeliveries && last.kind() != "DELETE" {
		b := &repositoryCall{call: c, repository: r, d: d}
		selection := []string{"--max-count=5", last.to}
		if last.from != zeroHash {
			selection = append(selection, "^"+last.from)
		}
		if commits, err = b.commitMembers(r.dir, append(selection, "--")); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.switches.webhooks {
		s.announce(r, "repo:push", s.pluginPayload(c, actor, r, changes))
		return nil
	}
	rows := list{}
	for _, change := range changes {
		short, kind := change.short()
		rows = append(rows, object{
			field("ref", object{field("id", change.name), field("displayId", short), field("type", kind)}),
			field("refId", change.name),
			field("fromHash", change.from),
			field("toHash", change.to),
			field("type", change.kind()),
		})
	}
	payload := s.envelopeOf(c, actor, "repo:refs_changed", field("repository", s.shown(c.repositoryObject(r))), field("changes", rows))
	s.announce(r, "repo:refs_changed", append(payload, commits...))
	return nil
}

// commitMembers are the commits of a push, and the last one of them.
func (b *repositoryCall) commitMembers(dir string, selection []string) ([]member, error) {
	records, err := b.readCommits(dir, selection...)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	objects, err := b.commitObjects(dir, records)
	if err != nil {
		return nil, err
	}
	rows := list{}
	for i, o := range objects {
		parents := list{} // here they are bare, and those of toCommit are whole
		for _, hash := range records[i].parents {
			parents = append(parents, commitID(hash))
		}
		row := slices.Clone(o)
		row[len(row)-1].value = parents
		rows = append(rows, row)
	}
	return []member{field("commits", rows), field("toCommit", objects[0])}, nil
}

// pluginPayload is a push as the Post Webhooks plugin tells it.
func (s *Server) pluginPayload(c *call, actor *user, r *repository, changes []refChange) object {
	person := func(name, shown string, email any) object {
		return object{field("username", name), field("displayName", shown), field("emailAddress", email)}
	}
	rows := list{}
	for _, change := range changes {
		short, kind := change.short()
		side := func(hash string) any {
			if hash == zeroHash {
				return nil
			}
			return object{
				field("type", strings.ToLower(kind)), field("name", short),
				field("target", object{field("type", "commit"), field("hash", hash)}),
			}
		}
		rows = append(rows, object{
			field("created", change.from == zeroHash), field("closed", change.to == zeroHash),
			field("new", side(change.to)), field("old", side(change.from)),
		})
	}
	key := r.project.Key
	return object{
		field("actor", person(actor.Name, actor.DisplayName, actor.Email)),
		field("repository", object{
			field("scmId", "git"),
			field("project", object{field("key", key), field("name", r.project.Name)}),
			field("slug", r.Slug),
			selfLink(c.repositoryPage(r) + "/browse"),
			field("public", r.Public),
			field("ownerName", key),
			field("fullName", key+"/"+r.Slug),
			field("owner", person(key, key, nil)),
		}),
		field("push", object{field("changes", rows)}),
	}
}

// modifiedAnnouncer remembers what a repository is like, and returns what tells the webhooks of the
// change since.
func (s *Server) modifiedAnnouncer(r *repository) (announce func()) {
	c, actor, err := s.writer()
	if err != nil || !s.switches.webhooks || !s.isHeard(r) {
		return func() {}
	}
	before := s.shown(c.repositoryObject(r))
	return func() {
		s.announce(r, "repo:modified", s.envelopeOf(c, actor, "repo:modified", field("old", before), field("new", s.shown(c.repositoryObject(r)))))
	}
}

// announcePullRequest tells the webhooks of the repository that a pull request goes to.
func (s *Server) announcePullRequest(p *pullRequest, event string, rest ...member) {
	c, actor, err := s.writer()
	if err != nil || !s.switches.webhooks || !s.isHeard(p.to) {
		return
	}
	b := &repositoryCall{call: c, repository: p.to, d: p.to.description()}
	shown := s.shown(b.pullRequestObject(p))
	if !s.switches.linksInDeliveries {
		shown = append(shown, field("links", object{field("self", list{nil})})) // as recorded of 5.4
	}
	s.announce(p.to, event, s.envelopeOf(c, actor, event, append([]member{field("pullRequest", shown)}, rest...)...))
}
