package bitbuckettest

import (
	"strconv"
	"strings"
)

// commitFields are the fields that readCommits asks git log for, separated by U+001F.
const commitFields = "%H%x1f%P%x1f%an%x1f%ae%x1f%at%x1f%cn%x1f%ce%x1f%ct%x1f%B"

type commitRecord struct {
	hash                          string
	parents                       []string
	authorName, authorEmail       string
	authorTime, committerTime     int64 // seconds
	committerName, committerEmail string
	message                       string
}

// readCommits runs git log with the arguments.
func (b *repositoryCall) readCommits(dir string, args ...string) ([]commitRecord, error) {
	args = append([]string{"log", "-z", "--format=" + commitFields}, args...)
	out, err := b.server.git.run(b.ctx(), dir, nil, args...)
	if err != nil {
		return nil, err
	}
	var commits []commitRecord
	for text := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		fields := strings.SplitN(text, "\x1f", 9)
		if len(fields) < 9 {
			continue
		}
		record := commitRecord{
			hash: fields[0], parents: strings.Fields(fields[1]),
			authorName: fields[2], authorEmail: fields[3], committerName: fields[5], committerEmail: fields[6],
			message: strings.TrimRight(fields[8], "\n"),
		}
		if record.authorTime, err = strconv.ParseInt(fields[4], 10, 64); err != nil {
			return nil, err
		}
		if record.committerTime, err = strconv.ParseInt(fields[7], 10, 64); err != nil {
			return nil, err
		}
		commits = append(commits, record)
	}
	return commits, nil
}

// commitObjects writes commits with their parents, and these with the bare ids of theirs.
// Accounts are told of the commits themselves only, as recorded of 5.12.
func (b *repositoryCall) commitObjects(dir string, commits []commitRecord) ([]object, error) {
	var wanted []string
	for _, commit := range commits {
		wanted = append(wanted, commit.parents...)
	}
	parents := map[string]commitRecord{}
	if len(wanted) > 0 {
		records, err := b.readCommits(dir, append([]string{"--no-walk=unsorted"}, wanted...)...)
		if err != nil {
			return nil, err
		}
		for _, record := range records {
			parents[record.hash] = record
		}
	}
	asWritten := func(name, email string) object { return object{field("name", name), field("emailAddress", email)} }
	full := func(hash string) object { return b.commitObject(parents[hash], asWritten, commitID) }
	objects := make([]object, 0, len(commits))
	b.server.mu.RLock()
	defer b.server.mu.RUnlock()
	for _, commit := range commits {
		objects = append(objects, b.commitObject(commit, b.personObject, full))
	}
	return objects, nil
}

func commitID(hash string) object {
	return object{field("id", hash), field("displayId", hash[:min(len(hash), 11)])}
}

// commitObject is called with mu held.
func (b *repositoryCall) commitObject(commit commitRecord, person func(name, email string) object, parent func(hash string) object) object {
	parents := list{}
	for _, hash := range commit.parents {
		parents = append(parents, parent(hash))
	}
	return append(commitID(commit.hash),
		field("author", person(commit.authorName, commit.authorEmail)),
		field("authorTimestamp", commit.authorTime*1000),
		field("committer", person(commit.committerName, commit.committerEmail)),
		field("committerTimestamp", commit.committerTime*1000),
		field("message", commit.message),
		field("parents", parents),
	)
}

// personObject is the account with that address, or what the commit says.
func (c *call) personObject(name, email string) object {
	for _, u := range c.server.users {
		if u.Email != "" && strings.EqualFold(u.Email, email) {
			return c.userObject(u)
		}
	}
	return object{field("name", name), field("emailAddress", email)}
}

// commit takes a hash, whole or short, and refuses refs, as Bitbucket does since Stash 2.11.
func (b *repositoryCall) commit(id string) (any, error) {
	dir, err := b.server.ensured(b.repository)
	if err != nil {
		return nil, err
	}
	hash, err := b.commitOfHash(dir, id)
	if err != nil {
		return nil, err
	}
	commits, err := b.readCommits(dir, "--no-walk", hash)
	if err != nil {
		return nil, err
	}
	objects, err := b.commitObjects(dir, commits)
	if err != nil {
		return nil, err
	}
	return objects[0], nil
}

func (b *repositoryCall) commitOfHash(dir, id string) (string, error) {
	if len(id) >= 4 && len(id) <= 40 && isHex(strings.ToLower(id)) {
		// A branch can have a name of hexadecimal digits; ^0 and the check keep it out.
		hash, err := b.server.revParse(b.ctx(), dir, id+"^0")
		if err == nil && strings.HasPrefix(hash, strings.ToLower(id)) {
			return hash, nil
		}
	}
	return "", errNoSuchCommit(id, b.d)
}

// revision is a commit that at=, until= or since= names: a ref, its short name, or a hash.
type revision struct {
	name string // as asked for, or the default branch's full ref
	hash string
}

// revisionOf finds a revision; "" is the default branch.
func (b *repositoryCall) revisionOf(dir, name string) (revision, error) {
	if name == "" {
		ref := "refs/heads/" + b.d.DefaultBranch
		hash, err := b.server.revParse(b.ctx(), dir, ref+"^0")
		if err != nil {
			return revision{}, errNoDefaultBranch(b.d)
		}
		return revision{name: ref, hash: hash}, nil
	}
	candidates := []string{"refs/heads/" + name, "refs/tags/" + name}
	if strings.HasPrefix(name, "refs/") || name == "HEAD" {
		candidates = []string{name}
	}
	for _, ref := range candidates {
		if checkRef(ref) != nil { // git's syntax for revisions is none of Bitbucket's
			continue
		}
		if hash, err := b.server.revParse(b.ctx(), dir, ref+"^0"); err == nil {
			return revision{name: name, hash: hash}, nil
		}
	}
	hash, err := b.commitOfHash(dir, name)
	return revision{name: name, hash: hash}, err
}

func (b *repositoryCall) commits() (any, error) {
	request, err := b.pageRequest("commits")
	if err != nil {
		return nil, err
	}
	dir, err := b.server.ensured(b.repository)
	if err != nil {
		return nil, err
	}
	until, err := b.revisionOf(dir, b.query.Get("until"))
	if err != nil {
		return nil, err
	}
	selection := []string{until.hash}
	if name := b.query.Get("since"); name != "" {
		since, err := b.revisionOf(dir, name)
		if err != nil {
			return nil, err
		}
		selection = append(selection, "^"+since.hash)
	}
	switch merges := b.query.Get("merges"); merges {
	case "exclude":
		selection = append(selection, "--no-merges")
	case "only":
		selection = append(selection, "--merges")
	}
	selection = append(selection, "--")
	if path := b.query.Get("path"); path != "" {
		selection = append(selection, path)
	}
	window := []string{"--skip=" + strconv.Itoa(request.start), "--max-count=" + strconv.Itoa(request.limit+1)}
	commits, err := b.readCommits(dir, append(window, selection...)...)
	if err != nil {
		return nil, err
	}
	p := b.pageOf(request, request.start+len(commits), func(int) bool { return true })
	objects, err := b.commitObjects(dir, commits[:len(p.at)])
	if err != nil {
		return nil, err
	}
	values := list{}
	for _, o := range objects {
		values = append(values, o)
	}
	var counts []member
	if isTrue(b.query, "withCounts") {
		all, err := b.readCommits(dir, selection...)
		if err != nil {
			return nil, err
		}
		authors := map[string]bool{}
		for _, commit := range all {
			authors[commit.authorEmail] = true
		}
		counts = []member{field("authorCount", len(authors)), field("totalCount", len(all))}
	}
	return b.envelope(p, values, counts...), nil
}
