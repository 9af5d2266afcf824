package resolver

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
)

// FuzzResolve holds the invariant: whatever comes in, what comes out is a link whose every
// address lies below the primary URL, also as a browser reads it, or one of the errors of the contract.
func FuzzResolve(f *testing.F) {
	for _, file := range []string{"testdata/link-cases.tsv", "testdata/more-cases.tsv"} {
		for _, c := range linkCases(f, file) {
			if len(c["url"]) < 1000 {
				f.Add(c["url"])
			}
		}
	}
	const primary = "https://sourcegraph.example.com/sub/path"
	r := newTestResolver(f, linkWorld())
	if err := r.SetConfig(linkConfig(f, primary)); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		result, err := r.Resolve(t.Context(), raw)
		if err != nil {
			for _, known := range errorCodes {
				if errors.Is(err, known) {
					return
				}
			}
			t.Fatalf("Resolve(%q): the error is none of the contract: %v", raw, err)
		}
		addresses := []string{result.Link.URL}
		for _, address := range result.Link.Links {
			addresses = append(addresses, address)
		}
		base, err := url.Parse(primary)
		if err != nil {
			t.Fatal(err)
		}
		for _, address := range addresses {
			// JoinPath resolves "." and ".." as browsers do.
			u, err := url.Parse(address)
			if err != nil || u.Scheme != base.Scheme || u.Host != base.Host || u.User != nil || u.Fragment != "" {
				t.Fatalf("Resolve(%q): the link %q is not on the primary: %v", raw, address, err)
			}
			if resolved := u.JoinPath().Path; !strings.HasPrefix(resolved, base.Path+"/") && resolved != base.Path {
				t.Errorf("Resolve(%q): the path of %q leads to %q", raw, address, resolved)
			}
		}
		if !json.Valid(result.JSON) {
			t.Errorf("Resolve(%q): no JSON: %q", raw, result.JSON)
		}
	})
}
