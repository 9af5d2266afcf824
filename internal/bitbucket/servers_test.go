package bitbucket_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"example.com/signpost/internal/bitbucket"
)

// linkCase is a row of the resolver's case file, as far as it concerns the grammar.
type linkCase struct{ id, url, want string }

// linkCases reads the resolver's case file, whose columns are found by name.
func linkCases(t testing.TB) []linkCase {
	t.Helper()
	text, err := os.ReadFile("../../resolver/testdata/link-cases.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var (
		columns map[string]int
		cases   []linkCase
	)
	for line := range strings.SplitSeq(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(line, "\t")
		if columns == nil {
			columns = map[string]int{}
			for i, name := range cells {
				columns[name] = i
			}
			continue
		}
		if len(cells) != len(columns) {
			t.Fatalf("case %.40q has %d columns, want %d", line, len(cells), len(columns))
		}
		cases = append(cases, linkCase{cells[columns["id"]], cells[columns["url"]], cells[columns["want_url"]]})
	}
	if len(cases) == 0 {
		t.Fatal("the case file has no cases")
	}
	return cases
}

func base(t testing.TB, raw string) bitbucket.BaseURL {
	t.Helper()
	b, err := bitbucket.ParseBaseURL(raw)
	if err != nil {
		t.Fatalf("ParseBaseURL(%q): %v", raw, err)
	}
	return b
}

// world is the servers of the case file.
func world(t testing.TB) *bitbucket.Servers {
	t.Helper()
	return bitbucket.NewServers([]bitbucket.Server{
		{Name: "one", Addresses: []bitbucket.BaseURL{
			base(t, "https://bitbucket.example.com"), base(t, "https://stash.example.com"),
		}},
		{Name: "two", Addresses: []bitbucket.BaseURL{base(t, "https://code.example.org:8443/git/bitbucket")}},
	})
}

// parserErrors are the codes of the case file that the grammar gives.
var parserErrors = map[string]error{
	"!invalid_url":      bitbucket.ErrInvalidURL,
	"!unknown_host":     bitbucket.ErrUnknownHost,
	"!unsupported_page": bitbucket.ErrUnsupportedPage,
}

func TestParseURLAgreesWithTheCaseFile(t *testing.T) {
	t.Parallel()
	servers := world(t)
	for _, c := range linkCases(t) {
		t.Run(c.id, func(t *testing.T) {
			t.Parallel()
			location, err := servers.ParseURL(c.url)
			if !errors.Is(err, parserErrors[c.want]) {
				t.Fatalf("ParseURL(%.200q): error %v, want %v", c.url, err, parserErrors[c.want])
			}
			if err == nil {
				checkLocation(t, location)
			}
		})
	}
}
