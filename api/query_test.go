package api

import (
	"net/url"
	"testing"
)

// FuzzQueryValue holds queryValue to what net/url says.
func FuzzQueryValue(f *testing.F) {
	for _, query := range []string{
		"", "url=a", "url=a&url=b", "x=1&url=https%3A%2F%2Fb%2Fc%3Fat%3Dx%26y", "url", "url=", "=a&url=b", "&&url=a&", "u%72l=a", "url=a;b&url=c",
		"url=%zz&url=b", "%zz=1&url=a+b", "URL=a", "url=a=b", "urlx=a&url=%00", "x;url=a",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, _ := url.ParseQuery(query) // what is wrong is left out, as in URL.Query
		if got, want := queryValue(query, "url"), values.Get("url"); got != want {
			t.Errorf("queryValue(%q) = %q, want %q", query, got, want)
		}
	})
}

func BenchmarkQueryValue(b *testing.B) {
	query := "url=" + url.QueryEscape("https://bitbucket.example.com/projects/PRJ/repos/app/browse/cmd/a.go?at=refs%2Fheads%2Fmain#10-15")
	b.Run("queryValue", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			queryValue(query, "url")
		}
	})
	b.Run("net/url", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			values, _ := url.ParseQuery(query)
			values.Get("url")
		}
	})
}
