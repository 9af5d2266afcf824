package bitbucket

// Page says which page of Bitbucket a Location is.
type Page int

// The pages that docs/links.md has a row for, and PageOther for the rest of a repository's pages.
const (
	PageRepository  Page = iota + 1 // a repository's root, browse without a path, a clone address
	PageOther                       // a page of a repository without a row of its own: settings, builds, ...
	PagePath                        // browse/PATH, raw/PATH: a file, a directory or a submodule
	PageDiff                        // diff/PATH
	PageCommits                     // commits, with until and path
	PageCommit                      // commits/SHA, also below a pull request
	PageBranches                    // branches
	PageTags                        // tags
	PageCompare                     // compare..., pull-requests?create
	PagePullRequest                 // pull-requests/N and its tabs
	PageProject                     // projects/KEY, users/user
	PageSearch                      // plugins/servlet/search
)

// Side tells which side of a diff a line is on.
type Side int

// The sides of a diff. Bitbucket writes ?f=N and ?t=N at the end of a fragment.
const (
	SideNone Side = iota
	SideFrom      // the old file
	SideTo        // the new file
)

// LineRange is a range of lines, counted from 1, both ends included, Start <= End.
type LineRange struct {
	Start int `json:"start"`
	End   int `json:"end"`
}

// Location is what a Bitbucket URL says, decoded, and before anything is looked up: key
// and slug are spelt as the URL spells them, revisions are whole (refs/heads/x stays so).
// Fields that the page does not have are zero. No string holds control characters.
type Location struct {
	Connection string // name of the server that the URL belongs to
	// Others are further servers of the same host name, in order. Only ssh and scp-like
	// addresses have them: these tell neither port nor context path of the web address.
	Others []string

	Page    Page
	Address // "~user" for both spellings of a personal project; Slug is "" on a project's page

	Revision  string      // until, else at; "" means none
	Until     bool        // the revision came from until
	Path      string      // of PagePath, PageDiff and PageCommits: no slash at either end
	Directory bool        // the path ended in a slash
	Lines     []LineRange // all ranges of the fragment, in its order

	Commit string // of PageCommit: a hash, or a ref
	Since  string // of PageCommit and PageDiff

	Source           string // of PageCompare
	Target           string
	TargetRepository int64 // 0 when absent

	PullRequest int64 // of PagePullRequest, and of a PageCommit below one

	File string // of PageCommit and PagePullRequest: the file that the fragment (or the old diff/PATH) names
	Side Side   // of File
	Line int    // of File, on Side

	Query string // of PageSearch
}
