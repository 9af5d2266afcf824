package bitbuckettest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// belowPullRequests answers for the list of pull requests, and for one of them.
func (b *repositoryCall) belowPullRequests(parts []string) (any, error) {
	if len(parts) == 0 {
		return b.pullRequests()
	}
	s := b.server
	number, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return nil, b.unknown()
	}
	s.mu.RLock()
	p := b.repository.pulls[number]
	s.mu.RUnlock()
	if p == nil {
		return nil, errNoSuchPullRequest(parts[0], b.d)
	}
	// Reading a pull request writes its refs, from 7.0 on for the first time.
	if err := s.writePullRefs(b.ctx(), p); err != nil {
		return nil, err
	}
	switch {
	case len(parts) == 1:
		s.mu.RLock()
		defer s.mu.RUnlock()
		return b.pullRequestObject(p), nil
	case len(parts) == 2 && parts[1] == "commits":
		return b.pullRequestCommits(p)
	}
	return nil, b.unknown()
}

func (b *repositoryCall) pullRequests() (any, error) {
	s := b.server
	s.mu.RLock()
	defer s.mu.RUnlock()
	state := strings.ToUpper(b.query.Get("state"))
	var rows []*pullRequest
	for _, p := range b.repository.pulls {
		if state == "ALL" || p.State == cmp.Or(state, "OPEN") {
			rows = append(rows, p)
		}
	}
	slices.SortFunc(rows, func(a, b *pullRequest) int { return cmp.Compare(b.Number, a.Number) })
	return b.listing("pullrequests", len(rows), func(row int) any { return b.pullRequestObjectWith(rows[row], s.switches.pullProperties) })
}

func (b *repositoryCall) pullRequestCommits(p *pullRequest) (any, error) {
	b.server.mu.RLock()
	from, to := p.FromCommit, p.ToCommit
	b.server.mu.RUnlock()
	dir, err := b.server.ensured(b.repository)
	if err != nil {
		return nil, err
	}
	commits, err := b.readCommits(dir, from, "^"+to, "--")
	if err != nil {
		return nil, err
	}
	objects, err := b.commitObjects(dir, commits)
	if err != nil {
		return nil, err
	}
	request, err := b.pageRequest("commits")
	if err != nil {
		return nil, err
	}
	page := b.pageOf(request, len(objects), func(int) bool { return true })
	values := list{}
	for _, row := range page.at {
		values = append(values, objects[row])
	}
	var next any // here the last page has it as null, and the keys are in another order
	if !page.last {
		next = page.rows
	}
	return object{
		field("values", values),
		field("size", len(values)),
		field("isLastPage", page.last),
		field("start", page.start),
		field("limit", page.limit),
		optional("nextPageStart", next, !b.has(EffectNoNextPageStart)),
	}, nil
}

func (b *repositoryCall) pullRequestObject(p *pullRequest) object {
	return b.pullRequestObjectWith(p, false)
}

// pullRequestObjectWith has the key properties, as in the lists of 7.x, when properties is
// true. Called with mu held.
func (b *repositoryCall) pullRequestObjectWith(p *pullRequest, properties bool) object {
	open := p.State == "OPEN"
	closed, updated := p.created.AddDate(0, 0, 1), p.created
	if !open {
		updated = closed
	}
	page := b.repositoryPage(p.to)
	participant := object{
		field("user", b.userObject(p.author)),
		field("role", "AUTHOR"),
		field("approved", false),
		field("status", "UNAPPROVED"),
	}
	return object{
		field("id", p.Number),
		field("version", p.version),
		field("title", p.Title),
		optional("description", strings.ReplaceAll(p.Description, "\n", "\r\n"), p.Description != ""),
		field("state", p.State),
		field("open", open),
		field("closed", !open),
		optional("draft", p.Draft, b.server.switches.draft),
		field("createdDate", millis(p.created)),
		field("updatedDate", millis(updated)),
		optional("closedDate", millis(closed), !open && b.server.switches.closedDate),
		field("fromRef", b.pullRefObject(p.From, p.FromCommit, p.from)),
		field("toRef", b.pullRefObject(p.To, p.ToCommit, p.to)),
		field("locked", false),
		field("author", participant),
		field("reviewers", list{}),
		field("participants", list{}),
		optional("properties", object{
			field("mergeResult", object{field("outcome", "CLEAN"), field("current", true)}),
			field("resolvedTaskCount", 0),
			field("openTaskCount", 0),
		}, properties && open),
		selfLink(page + "/pull-requests/" + strconv.FormatInt(p.Number, 10)),
	}
}

func (b *repositoryCall) pullRefObject(branch, commit string, r *repository) object {
	key := "latestCommit"
	if b.server.opts.ChangesetRefs {
		key = "latestChangeset"
	}
	var repository any
	if r != nil { // a fork that was deleted is missing
		repository = b.repositoryObject(r)
	}
	return object{
		field("id", "refs/heads/"+branch),
		field("displayId", branch),
		field(key, commit),
		optional("repository", repository, r != nil),
	}
}
