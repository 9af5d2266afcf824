package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// row writes a repository; more is put before its end.
func row(id int, key, slug, more string) string {
	return fmt.Sprintf(`{"slug":%q,"id":%d,"name":%[1]q,"state":"AVAILABLE","project":{"key":%[3]q,"name":"P"}%s}`, slug, id, key, more)
}

func pageOf(rows ...string) http.HandlerFunc {
	return body(200, fmt.Sprintf(`{"size":%d,"limit":1000,"isLastPage":true,"values":[%s],"start":0}`, len(rows), strings.Join(rows, ",")))
}

// list returns what a listing yields, as "KEY/slug" with "!" behind the archived ones
// and "?" behind those of which that is not known.
func list(c *Client, t *testing.T, q syncer.ListQuery) ([]string, error) {
	t.Helper()
	var got []string
	err := c.ListRepositories(t.Context(), q, func(page []bitbucket.Repository) error {
		for _, r := range page {
			text := r.String()
			if r.Archived {
				text += "!"
			}
			if r.ArchivedUnknown {
				text += "?"
			}
			got = append(got, text)
		}
		return nil
	})
	return got, err
}

func TestWhatIsAskedForAListing(t *testing.T) {
	t.Parallel()
	const labels = "labels/archived/labeled?limit=1000&type=REPOSITORY"
	for _, c := range []struct {
		version string
		query   syncer.ListQuery
		want    []string
	}{
		{"4.0.0", syncer.ListQuery{}, []string{"repos?limit=1000"}},
		{"4.14.0", syncer.ListQuery{Query: "all"}, []string{"repos?limit=1000"}},
		{"5.12.3", syncer.ListQuery{Query: "?name=a b&projectname=Web"}, []string{"repos?limit=1000&name=a+b&projectname=Web"}},
		{"5.13.0", syncer.ListQuery{Query: "?"}, []string{labels, "repos?limit=1000"}},
		{"7.21.0", syncer.ListQuery{Query: "visibility=private&limit=5&start=9"}, []string{labels, "repos?limit=1000&visibility=private"}},
		{"7.21.0", syncer.ListQuery{ProjectKey: "WEB"}, []string{labels, "projects/WEB/repos?limit=1000"}},
		{"8.0.0", syncer.ListQuery{}, []string{"repos?archived=ALL&limit=1000"}},
		{"8.19.0", syncer.ListQuery{Query: "?archived=ACTIVE&projectkey=WEB"}, []string{"repos?archived=ACTIVE&limit=1000&projectkey=WEB"}},
		{"9.4.0", syncer.ListQuery{ProjectKey: "~first.last"}, []string{"projects/~first.last/repos?archived=ALL&limit=1000"}},
		{"10.1.0", syncer.ListQuery{Query: "name=x"}, []string{"repos?archived=ALL&limit=1000&name=x"}},
		{"9.4.0", syncer.ListQuery{Query: "none"}, nil},
	} {
		t.Run(fmt.Sprintf("of %s for %+v", c.version, c.query), func(t *testing.T) {
			t.Parallel()
			s := newServer(t, c.version, routes{"*": pageOf(row(1, "WEB", "app", ""))})
			if _, err := list(newClient(t, s.base()), t, c.query); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, s.asked()); diff != "" {
				t.Errorf("questions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestListRepositories(t *testing.T) {
	t.Parallel()
	all := pageOf(row(1, "WEB", "app", ""), row(2, "WEB", "old", ""), row(3, "OPS", "tool", `,"archived":true`))
	offline := pageOf(row(1, "WEB", "app", ""), strings.Replace(row(2, "WEB", "old", ""), "AVAILABLE", "OFFLINE", 1))
	noLabel := body(404, `{"errors":[{"context":null,"message":"Label not found.","exceptionName":"com.atlassian.bitbucket.label.NoSuchLabelException"}]}`)
	for _, c := range []struct {
		name    string
		version string
		query   syncer.ListQuery
		r       routes
		want    []string
		wantErr []error
		not     error
		says    string
	}{
		{name: "takes the field from 8.0 on", version: "8.0.0", r: routes{"repos": all}, want: []string{"WEB/app", "WEB/old", "OPS/tool!"}},
		{name: "takes the label before", version: "7.21.0", r: routes{"repos": all, "labels/archived/labeled": file(t, 200, "labeled.json")}, want: []string{"WEB/app", "WEB/old!", "OPS/tool"}},
		{name: "knows none when there is no such label", version: "5.13.0", r: routes{"repos": all, "labels/archived/labeled": noLabel}, want: []string{"WEB/app", "WEB/old", "OPS/tool"}},
		{name: "knows none before labels", version: "5.12.0", r: routes{"repos": all}, want: []string{"WEB/app", "WEB/old", "OPS/tool"}},
		{
			name: "yields all when the label cannot be read", version: "7.21.0", r: routes{"repos": all, "labels/archived/labeled": body(500, `oops`)},
			want:    []string{"WEB/app?", "WEB/old?", "OPS/tool?"},
			wantErr: []error{bitbucket.ErrIncompleteListing, bitbucket.ErrArchivedUnknown, bitbucket.ErrUnavailable}, says: "labels/archived/labeled",
		},
		{
			name: "yields all when the label's list is odd", version: "5.13.0", r: routes{"repos": all, "labels/archived/labeled": pageOf(`{"slug":"x"}`)},
			want:    []string{"WEB/app?", "WEB/old?", "OPS/tool?"},
			wantErr: []error{bitbucket.ErrIncompleteListing, bitbucket.ErrArchivedUnknown}, says: "a labeled repository could not be read",
		},
		{
			name: "yields all when the label may not be read", version: "7.21.0", r: routes{"repos": all, "labels/archived/labeled": file(t, 401, "error-401-permission.json")},
			want:    []string{"WEB/app?", "WEB/old?", "OPS/tool?"},
			wantErr: []error{bitbucket.ErrIncompleteListing, bitbucket.ErrArchivedUnknown}, says: "not permitted",
		},
		{
			name: "does not take the label's second page for the label", version: "7.21.0",
			r: routes{"repos": all, "labels/archived/labeled": inTurn(
				body(200, `{"size":1,"limit":1,"isLastPage":false,"values":[`+row(2, "WEB", "old", "")+`],"start":0,"nextPageStart":1}`), noLabel)},
			want:    []string{"WEB/app?", "WEB/old?", "OPS/tool?"},
			wantErr: []error{bitbucket.ErrIncompleteListing, bitbucket.ErrArchivedUnknown}, says: "Label not found.",
		},
		{
			name: "leaves the filter to others when the label cannot be read", version: "7.0.0", query: syncer.ListQuery{Query: "?archived=ARCHIVED&projectkey=WEB"},
			r: routes{"repos": all, "labels/archived/labeled": body(400, `oops`)}, want: []string{"WEB/app?", "WEB/old?"},
			wantErr: []error{bitbucket.ErrIncompleteListing, bitbucket.ErrArchivedUnknown},
		},
		{
			name: "says that a project is not there whatever the label is", version: "7.0.0", query: syncer.ListQuery{ProjectKey: "GONE"},
			r:       routes{"projects/GONE/repos": file(t, 404, "error-404-stash.json"), "labels/archived/labeled": body(400, `oops`)},
			wantErr: []error{bitbucket.ErrNotFound}, not: bitbucket.ErrArchivedUnknown,
		},
		{name: "filters by project itself on an old version", version: "4.14.0", query: syncer.ListQuery{Query: "?projectkey=ops"}, r: routes{"repos": all}, want: []string{"OPS/tool"}},
		{name: "filters archived ones itself on an old version", version: "7.0.0", query: syncer.ListQuery{Query: "?archived=ARCHIVED"}, r: routes{"repos": all, "labels/archived/labeled": file(t, 200, "labeled.json")}, want: []string{"WEB/old!"}},
		{name: "filters active ones itself on an old version", version: "7.0.0", query: syncer.ListQuery{Query: "?archived=active"}, r: routes{"repos": all, "labels/archived/labeled": file(t, 200, "labeled.json")}, want: []string{"WEB/app", "OPS/tool"}},
		{name: "filters by state itself on an old version", version: "5.12.0", query: syncer.ListQuery{Query: "?state=AVAILABLE"}, r: routes{"repos": offline}, want: []string{"WEB/app"}},
		{name: "leaves the filters to a version that knows them", version: "8.0.0", query: syncer.ListQuery{Query: "?projectkey=ops&archived=ARCHIVED&state=OFFLINE"}, r: routes{"repos": all}, want: []string{"WEB/app", "WEB/old", "OPS/tool!"}},
		{
			name: "says which rows it cannot read, after the others", version: "8.0.0",
			r:    routes{"repos": pageOf(row(1, "WEB", "app", ""), `{"id":2,"slug":"x"}`, `{"id":3,"slug":"x","project":null}`, `"x"`, row(-1, "WEB", "y", ""), row(4, "WEB", "a/b", ""), row(5, "WEB", "tool", ""))},
			want: []string{"WEB/app", "WEB/tool"}, wantErr: []error{bitbucket.ErrIncompleteListing}, says: "5 of its rows could not be read",
		},
		{
			name: "says that a project is not there", version: "8.0.0", query: syncer.ListQuery{ProjectKey: "GONE"}, r: routes{"projects/GONE/repos": file(t, 404, "error-404-stash.json")},
			wantErr: []error{bitbucket.ErrNotFound}, not: bitbucket.ErrIncompleteListing, says: "Project WEB does not exist.",
		},
		{
			name: "says the same of a project that is not visible", version: "8.0.0", query: syncer.ListQuery{ProjectKey: "SECRET"}, r: routes{"projects/SECRET/repos": file(t, 401, "error-401-permission.json")},
			wantErr: []error{bitbucket.ErrNotFound}, not: bitbucket.ErrIncompleteListing, says: "not permitted",
		},
		{
			name: "says the same of a key that nothing can have", version: "8.0.0", query: syncer.ListQuery{ProjectKey: "A/B"},
			wantErr: []error{bitbucket.ErrNotFound}, not: bitbucket.ErrIncompleteListing,
		},
		{
			name: "does not take the list of everything for absent", version: "8.0.0", r: routes{"repos": body(404, ``)},
			wantErr: []error{bitbucket.ErrIncompleteListing, bitbucket.ErrNotFound},
		},
		{
			name: "is incomplete without a version", r: routes{"application-properties": file(t, 200, "login.html")},
			wantErr: []error{bitbucket.ErrIncompleteListing, bitbucket.ErrNotBitbucket},
		},
		{
			name: "is incomplete when the account is refused", version: "8.0.0", r: routes{"users": file(t, 401, "error-401-password.json")},
			wantErr: []error{bitbucket.ErrIncompleteListing, bitbucket.ErrUnauthorized},
		},
		{name: "wants a query string", version: "8.0.0", query: syncer.ListQuery{Query: "?name=%zz"}, wantErr: []error{bitbucket.ErrIncompleteListing}, says: "no query string"},
		{
			name: "finds a person's repositories at their second address", version: "4.14.0", query: syncer.ListQuery{ProjectKey: "~jane"},
			r: routes{"users/jane/repos": pageOf(row(9, "~JANE", "app", ""))}, want: []string{"~JANE/app"},
		},
		{
			name: "says that a person is not there", version: "4.14.0", query: syncer.ListQuery{ProjectKey: "~jane"},
			wantErr: []error{bitbucket.ErrNotFound}, not: bitbucket.ErrIncompleteListing, says: "projects/~jane/repos",
		},
		{
			name: "is incomplete when the second address fails", version: "4.14.0", query: syncer.ListQuery{ProjectKey: "~jane"},
			r: routes{"users/jane/repos": body(500, ``)}, wantErr: []error{bitbucket.ErrIncompleteListing, bitbucket.ErrUnavailable},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, c.version, c.r)
			got, err := list(newClient(t, s.base()), t, c.query)
			wantError(t, err, c.wantErr, c.says)
			if c.not != nil && errors.Is(err, c.not) {
				t.Errorf("error %q is %q", err, c.not)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
	t.Run("wants a project or a query", func(t *testing.T) {
		t.Parallel()
		if _, err := list(newClient(t, "https://bitbucket.example.com"), t, syncer.ListQuery{ProjectKey: "A", Query: "b=c"}); err == nil {
			t.Error("no error for both")
		}
	})
}

func TestTheLastAnswerOfALabelStands(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := offline(t, "6.10.0", routes{
			"repos":                   pageOf(row(1, "WEB", "app", ""), row(2, "WEB", "old", "")),
			"projects/WEB/repos/old":  body(200, row(2, "WEB", "old", "")),
			"labels/archived/labeled": inTurn(file(t, 200, "labeled.json"), body(400, `oops`)),
		})
		want := []string{"WEB/app", "WEB/old!"}
		for range 3 { // within a minute: one question
			if got, err := list(c, t, syncer.ListQuery{}); err != nil || !slices.Equal(got, want) {
				t.Errorf("found %q, %v, want %q", got, err, want)
			}
		}
		if n := s.count("labels/archived/labeled"); n != 1 {
			t.Errorf("the label was asked for %d times, want once", n)
		}
		time.Sleep(2 * archivedLifetime)
		got, err := list(c, t, syncer.ListQuery{})
		wantError(t, err, []error{bitbucket.ErrIncompleteListing}, "the last answer stands")
		if !slices.Equal(got, want) {
			t.Errorf("found %q, want %q", got, want)
		}
		r, err := c.Repository(t.Context(), bitbucket.Address{Key: "WEB", Slug: "old"})
		if err != nil || !r.Archived {
			t.Errorf("Repository: archived %v, %v", r.Archived, err)
		}
	})
}

func TestARepositoryIsNotCalledActiveOnDoubt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := offline(t, "6.10.0", routes{
			"projects/WEB/repos/old":  body(200, row(2, "WEB", "old", "")),
			"labels/archived/labeled": inTurn(body(400, `oops`), file(t, 200, "labeled.json")),
		})
		ask := func() bitbucket.Repository {
			t.Helper()
			r, err := c.Repository(t.Context(), bitbucket.Address{Key: "WEB", Slug: "old"})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		for range 3 { // a broken label is left alone for a while
			if r := ask(); r.Archived || !r.ArchivedUnknown {
				t.Errorf("%+v, want it ArchivedUnknown", r)
			}
		}
		if n := s.count("labels/archived/labeled"); n != 1 {
			t.Errorf("the label was asked for %d times, want once", n)
		}
		time.Sleep(archivedPause)
		if r := ask(); !r.Archived || r.ArchivedUnknown {
			t.Errorf("%+v, want it archived once the label can be read", r)
		}
	})
}

func TestWhoeverStopsWaitingForTheLabelSaysNothingOfIt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := newServer(t, "6.10.0", routes{
		"projects/WEB/repos/old": body(200, row(2, "WEB", "old", "")),
		"labels/archived/labeled": func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		},
	})
	c := newClient(t, s.base())
	_, err := c.Repository(ctx, bitbucket.Address{Key: "WEB", Slug: "old"})
	wantError(t, err, []error{context.Canceled}, "")
	if _, fresh, failure := c.archived.load(); fresh || failure != nil {
		t.Errorf("the label counts as broken: %v", failure)
	}
}
