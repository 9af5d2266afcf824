package syncer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

func TestSelect(t *testing.T) {
	t.Parallel()
	project := Selector{SelectProject, "PRJ"}
	with := func(change func(*bitbucket.Repository)) bitbucket.Repository {
		r := repo(7, "PRJ/app")
		change(&r)
		return r
	}
	plain := repo(7, "PRJ/app")
	for _, c := range []struct {
		name   string
		config siteconfig.Connection
		repo   bitbucket.Repository
		by     []Selector
		want   Decision
	}{
		{
			"a repository of a configured project is selected by it",
			siteconfig.Connection{},
			plain,
			[]Selector{project},
			Decision{true, "selected by projectKeys PRJ"},
		},
		{
			"the first selector that found it is named",
			siteconfig.Connection{},
			plain,
			[]Selector{{SelectRepo, "prj/app"}, project},
			Decision{true, "selected by repos prj/app"},
		},
		{
			"a query is named in quotes",
			siteconfig.Connection{},
			plain,
			[]Selector{{SelectQuery, "?name=a"}},
			Decision{true, `selected by repositoryQuery "?name=a"`},
		},
		{
			"without selectors everything is selected",
			siteconfig.Connection{},
			plain,
			[]Selector{{Kind: SelectAll}},
			Decision{true, "selected by default: nothing narrows the connection"},
		},
		{
			"what no selector takes is not selected",
			siteconfig.Connection{},
			plain,
			nil,
			Decision{false, "not selected: none of repos, projectKeys and repositoryQuery of its connection takes it; add it to one of them if it should be there"},
		},
		{
			"an excluded name counts in any case",
			siteconfig.Connection{Exclude: []siteconfig.Exclusion{{Name: "prj/APP"}}},
			plain,
			[]Selector{project},
			Decision{false, "excluded by exclude[0] (name prj/APP)"},
		},
		{
			"an excluded name is exact",
			siteconfig.Connection{Exclude: []siteconfig.Exclusion{{Name: "PRJ/ap"}}},
			plain,
			[]Selector{project},
			Decision{true, "selected by projectKeys PRJ"},
		},
		{
			"an excluded id wins over a repos entry",
			siteconfig.Connection{Exclude: []siteconfig.Exclusion{{Name: "x/y"}, {ID: 7}}},
			plain,
			[]Selector{{SelectRepo, "PRJ/app"}},
			Decision{false, "excluded by exclude[1] (id 7)"},
		},
		{
			"an exclusion without id excludes no repository with id 0",
			siteconfig.Connection{Exclude: []siteconfig.Exclusion{{Name: "x/y"}}},
			with(func(r *bitbucket.Repository) { r.ID.Number = 0 }),
			[]Selector{project},
			Decision{true, "selected by projectKeys PRJ"},
		},
		{
			"a pattern is unanchored and sees KEY/slug",
			siteconfig.Connection{Exclude: []siteconfig.Exclusion{{Pattern: "J/a"}}},
			plain,
			[]Selector{project},
			Decision{false, "excluded by exclude[0] (pattern J/a)"},
		},
		{
			"a pattern is case-sensitive",
			siteconfig.Connection{Exclude: []siteconfig.Exclusion{{Pattern: "^prj/"}}},
			plain,
			[]Selector{project},
			Decision{true, "selected by projectKeys PRJ"},
		},
		{
			"a pattern does not see the id",
			siteconfig.Connection{Exclude: []siteconfig.Exclusion{{Pattern: "^7"}}},
			plain,
			[]Selector{project},
			Decision{true, "selected by projectKeys PRJ"},
		},
		{
			"a personal repository is kept by default",
			siteconfig.Connection{},
			repo(7, "~user/dots"),
			[]Selector{{Kind: SelectAll}},
			Decision{true, "selected by default: nothing narrows the connection"},
		},
		{
			"excludePersonalRepositories wins over a repos entry",
			siteconfig.Connection{ExcludePersonal: true},
			repo(7, "~user/dots"),
			[]Selector{{SelectRepo, "~user/dots"}},
			Decision{false, "personal repository, and excludePersonalRepositories is set"},
		},
		{
			"an archived repository is kept by default",
			siteconfig.Connection{Archived: "include"},
			with(func(r *bitbucket.Repository) { r.Archived = true }),
			[]Selector{project},
			Decision{true, "selected by projectKeys PRJ"},
		},
		{
			"an archived repository is left out on request",
			siteconfig.Connection{Archived: "exclude"},
			with(func(r *bitbucket.Repository) { r.Archived = true }),
			[]Selector{project},
			Decision{false, `archived, and archived is "exclude"`},
		},
		{
			"a fork is kept",
			siteconfig.Connection{},
			with(func(r *bitbucket.Repository) { r.Fork = true }),
			[]Selector{project},
			Decision{true, "selected by projectKeys PRJ"},
		},
		{
			"a repository that is not AVAILABLE is left out",
			siteconfig.Connection{},
			with(func(r *bitbucket.Repository) { r.State = bitbucket.StateOffline }),
			[]Selector{project},
			Decision{false, "Bitbucket gives it the state OFFLINE, and only one that is AVAILABLE can be read; it comes back by itself when its state does"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := NewSelection(&c.config)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, s.Select(c.repo, c.by...)); diff != "" {
				t.Errorf("Select (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewSelectionNamesABadPattern(t *testing.T) {
	t.Parallel()
	_, err := NewSelection(&siteconfig.Connection{Exclude: []siteconfig.Exclusion{{ID: 1}, {Pattern: "("}}})
	if err == nil || !strings.HasPrefix(err.Error(), "exclude[1].pattern: ") {
		t.Errorf("error %v, want one that names exclude[1].pattern", err)
	}
}

func TestSelectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		config siteconfig.Connection
		want   []Selector
	}{
		{"nothing configured is everything", siteconfig.Connection{}, []Selector{{Kind: SelectAll}}},
		{"none alone is nothing", siteconfig.Connection{RepositoryQuery: []string{"none"}}, nil},
		{"all is everything", siteconfig.Connection{RepositoryQuery: []string{"all"}}, []Selector{{SelectAll, "all"}}},
		{
			"none beside repos leaves the repos",
			siteconfig.Connection{Repos: []string{"B/b", "A/a"}, RepositoryQuery: []string{"none"}},
			[]Selector{{SelectRepo, "B/b"}, {SelectRepo, "A/a"}},
		},
		{
			"the union, in order, repetitions dropped",
			siteconfig.Connection{
				Repos: []string{"A/a", "a/A"}, ProjectKeys: []string{"PRJ", "prj", "~me"},
				RepositoryQuery: []string{"?name=x", "name=x", "all"},
			},
			[]Selector{{SelectRepo, "A/a"}, {SelectProject, "PRJ"}, {SelectProject, "~me"}, {SelectQuery, "?name=x"}, {SelectAll, "all"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, Selectors(&c.config)); diff != "" {
				t.Errorf("Selectors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTakes(t *testing.T) {
	t.Parallel()
	app := repo(7, "PRJ/app")
	for _, c := range []struct {
		name   string
		config siteconfig.Connection
		repo   bitbucket.Repository
		former []bitbucket.Address
		want   Taken
	}{
		{"no selectors take all", siteconfig.Connection{}, app, nil, IsTaken},
		{"none takes nothing", siteconfig.Connection{RepositoryQuery: []string{"none"}}, app, nil, NotTaken},
		{"a project in any case", siteconfig.Connection{ProjectKeys: []string{"prj"}}, app, nil, IsTaken},
		{"another project", siteconfig.Connection{ProjectKeys: []string{"OTHER"}}, app, nil, NotTaken},
		{"a personal project", siteconfig.Connection{ProjectKeys: []string{"~first.last"}}, repo(1, "~FIRST.LAST/x"), nil, IsTaken},
		{"an entry in any case", siteconfig.Connection{Repos: []string{"prj/APP"}}, app, nil, IsTaken},
		{
			"an entry with the address that it had",
			siteconfig.Connection{Repos: []string{"OLD/app"}},
			app,
			[]bitbucket.Address{{Key: "old", Slug: "app"}},
			IsTaken,
		},
		{"a query that only Bitbucket can answer", siteconfig.Connection{RepositoryQuery: []string{"?visibility=public"}}, app, nil, MaybeTaken},
		{
			"the surest selector counts",
			siteconfig.Connection{ProjectKeys: []string{"PRJ"}, RepositoryQuery: []string{"?visibility=public"}},
			app, nil, IsTaken,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := NewSelection(&c.config)
			if err != nil {
				t.Fatal(err)
			}
			if _, got := s.Takes(c.repo, c.former...); got != c.want {
				t.Errorf("Takes: %v, want %v", got, c.want)
			}
		})
	}
}

func TestQueryTakes(t *testing.T) {
	t.Parallel()
	r := repo(7, "PRJ/app")
	r.Name, r.ProjectName = "My App", "The Project"
	for _, c := range []struct {
		name, query string
		want        Taken
	}{
		{"a name's beginning, in any case", "?name=my%20a", IsTaken},
		{"a part of a name is for Bitbucket to judge", "name=app", MaybeTaken},
		{"another name", "?name=lib", NotTaken},
		{"spaces around a value count for nothing", "?name=+my+", IsTaken},
		{"an empty filter is none", "?name=&projectname=the", IsTaken},
		{"all parameters must agree", "?name=my&projectname=other", NotTaken},
		{"a project's key, which Bitbucket ignores before 8.0", "?projectkey=OTHER", NotTaken},
		{"the right project's key", "?projectkey=prj", IsTaken},
		{"a state", "?state=OFFLINE", NotTaken},
		{"archived ones only", "?archived=ARCHIVED", NotTaken},
		{"active ones only", "?archived=active", IsTaken},
		{"archived ones too", "?archived=ALL", IsTaken},
		{"readable ones", "?permission=REPO_READ", IsTaken},
		{"writable ones are not known here", "?permission=REPO_WRITE", MaybeTaken},
		{"an unknown parameter", "?shape=round", MaybeTaken},
		{"a query that is none", "?name=%zz", MaybeTaken},
		{"a page's size", "?limit=10&name=my", IsTaken},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := queryTakes(c.query, r); got != c.want {
				t.Errorf("queryTakes(%q): %v, want %v", c.query, got, c.want)
			}
		})
	}
}
