package siteconfig

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// knownSecrets hides the secrets of a text wherever a comment repeats them: short ones only
// where they are words of their own, lest a password "a" black everything out. The zero
// value hides nothing. What hiding costs does not depend on how many they are.
type knownSecrets struct {
	long  *strings.Replacer
	short map[string]bool
}

// shortSecret is how many bytes a secret has at most that is hidden as a word only.
const shortSecret = 5

func newKnownSecrets(secrets []string) knownSecrets {
	// Of two secrets at one place the replacer takes the first: the longer, which may hold the other.
	secrets = slices.Clone(secrets)
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	known := knownSecrets{short: map[string]bool{}}
	var pairs []string
	for _, secret := range slices.Compact(secrets) {
		if len(secret) <= shortSecret {
			known.short[secret] = true
			continue
		}
		pairs = append(pairs, secret, mask)
	}
	known.long = strings.NewReplacer(pairs...)
	return known
}

func (k knownSecrets) mask(line string) string {
	if k.long != nil {
		line = k.long.Replace(line)
	}
	if len(k.short) == 0 {
		return line
	}
	var out strings.Builder
	done := 0
	for i := 0; i < len(line); i++ {
		if i > 0 && isWordByte(line[i-1]) && isWordByte(line[i]) {
			continue // within a word
		}
		for length := min(shortSecret, len(line)-i); length > 0; length-- {
			end := i + length
			inWord := end < len(line) && isWordByte(line[end-1]) && isWordByte(line[end])
			if !inWord && k.short[line[i:end]] {
				out.WriteString(line[done:i] + mask)
				done, i = end, end-1
				break
			}
		}
	}
	return out.String() + line[done:]
}

func isWordByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c >= 0x80
}

// secretForms returns the ways in which a secret can stand in a comment.
func secretForms(text, literal string) []string {
	forms := []string{
		text, strings.TrimSpace(text), strings.TrimSuffix(strings.TrimPrefix(literal, `"`), `"`),
		url.QueryEscape(text), url.PathEscape(text),
	}
	forms = slices.DeleteFunc(forms, func(form string) bool { return form == "" || form == mask })
	return forms
}
