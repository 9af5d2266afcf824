package rest

import (
	"cmp"
	"encoding/base64"
	"html"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// maxQuoted is how many characters of a foreign text an error holds at most.
const maxQuoted = 200

// cleaner makes foreign text fit for errors and logs: without the connection's secrets,
// without control characters, on one line, and short.
type cleaner struct{ secrets *strings.Replacer }

func newCleaner(o Options) cleaner {
	var forms []string
	for _, secret := range []string{o.Token.Reveal(), o.Password.Reveal(), o.WebhookSecret.Reveal()} {
		if secret == "" {
			continue
		}
		forms = append(forms,
			secret,
			url.QueryEscape(secret), url.PathEscape(secret), html.EscapeString(secret),
			base64.StdEncoding.EncodeToString([]byte(secret)),
			base64.StdEncoding.EncodeToString([]byte(o.Username+":"+secret)))
	}
	// The longest first, so that no part of one is left over from another.
	slices.SortFunc(forms, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var pairs []string
	for _, form := range slices.Compact(forms) {
		pairs = append(pairs, form, "[redacted]")
	}
	return cleaner{strings.NewReplacer(pairs...)}
}

// clean redacts before it cuts, since the half of a secret is one too.
func (c cleaner) clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(c.secrets.Replace(text), "\uFFFD"))
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxQuoted {
		return string(runes[:maxQuoted-1]) + "…"
	}
	return text
}
