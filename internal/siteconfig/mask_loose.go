package siteconfig

import (
	"encoding/json"
	"regexp"
	"strings"
)

// Private keys in PEM form.
var (
	privateKeyBegin = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY`)
	privateKeyEnd   = regexp.MustCompile(`-----END [A-Z0-9 ]*PRIVATE KEY-----`)
	privateKeyBlock = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`)
)

// userInfo is what stands before the host of a URL, also of one whose slashes are escaped.
var userInfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*):(\\?/\\?/)([^/\s"]*)@`)

// maskUserInfo hides the user info of the URLs in a text. The "git" of ssh://git@host is
// no secret.
func maskUserInfo(text string) string {
	return userInfo.ReplaceAllStringFunc(text, func(match string) string {
		parts := userInfo.FindStringSubmatch(match)
		scheme, slashes, info := parts[1], parts[2], parts[3]
		if scheme == "ssh" && !strings.Contains(info, ":") {
			return match
		}
		return scheme + ":" + slashes + mask + "@"
	})
}

// namedSecrets returns the values that stand in quotes after the name of a secret: what
// one line shows for what it is must not show in another.
func namedSecrets(text string) []string {
	var l looseMasker
	l.text(text)
	return l.found
}

// literalText reads a string literal, which may lack its end.
func literalText(literal string) string {
	var text string
	if json.Unmarshal([]byte(literal), &text) == nil {
		return text
	}
	return strings.Trim(literal, `"`)
}

// assignment is a word and what is between it and its value: a colon, an equals sign, or
// nothing but a quote.
var assignment = regexp.MustCompile(`(["'` + "`" + `]?)([A-Za-z_][\w.-]*)(["'` + "`" + `]?)([ \t]*[:=]+[ \t]*|[ \t]*["'` + "`" + `])`)

// nextKey begins a line that belongs to no value before it.
var nextKey = regexp.MustCompile(`^[ \t]*(["'][\w.-]+["'][ \t]*:|[}\]])`)

// bareSecret looks like a token, key or hash: long, and of letters and digits mixed.
var bareSecret = regexp.MustCompile(`BBDC-[A-Za-z0-9+/=]+|[A-Za-z0-9+/_=-]{20,}`)

// authorization is a credential as a command or a header of HTTP takes it.
var authorization = regexp.MustCompile(`((?i:authorization["']?[ \t]*[:=][ \t]*["']?(?:bearer|basic|token)[ \t]+)|(?:^|[ \t])(?:-u|--user)[ \t=]+["']?|(?:^|[ \t])-u["']?[^\s"':]+:)[^\s"']+`)

// escapedWord is a letter or digit that is written as an escape, as nobody does without intent.
var escapedWord = regexp.MustCompile(`\\u00(?:3[0-9]|[46][1-9a-fA-F]|[57][0-9aA])`)

func literalRune(escape string) string { return literalText(quoted(escape)) }

// maskLoose hides secrets in text without a reliable structure: the inside of comments.
// secrets are further ones to hide. Line breaks stay.
func maskLoose(text string, secrets knownSecrets) string {
	l := looseMasker{secrets: secrets}
	return l.text(text)
}

// looseMasker hides what looks like a secret, and remembers what it hid.
type looseMasker struct {
	secrets knownSecrets
	found   []string
}

func (l *looseMasker) text(text string) string {
	// A name can be written with escapes, too.
	text = escapedWord.ReplaceAllStringFunc(text, literalRune)
	text = privateKeyBlock.ReplaceAllStringFunc(text, func(block string) string {
		return mask + strings.Repeat("\n", strings.Count(block, "\n"))
	})
	lines := strings.Split(text, "\n")
	pending, spill := false, false
	for i, line := range lines {
		line, carriageReturn := strings.CutSuffix(line, "\r")
		if spill && !nextKey.MatchString(line) {
			line = maskRest(line)
		} else {
			line, pending, spill = l.line(line, pending)
		}
		line = maskUserInfo(line)
		line = authorization.ReplaceAllString(line, "${1}"+mask)
		line = l.secrets.mask(line)
		line = maskBareSecrets(line)
		if carriageReturn {
			line += "\r"
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}

// line hides the values that stand after the names of secrets on a line. pending says
// that the line begins with such a value, or is empty; spill that the value goes on on the
// lines below.
func (l *looseMasker) line(line string, pendingBefore bool) (masked string, pending, spill bool) {
	var out strings.Builder
	if pendingBefore {
		if strings.TrimSpace(line) == "" {
			return line, true, false
		}
		if !nextKey.MatchString(line) {
			indent := line[:len(line)-len(strings.TrimLeft(line, " \t:=[{"))]
			if len(indent) == len(line) {
				return line, true, false // the value is further down yet
			}
			var value string
			value, line, spill = l.value(line[len(indent):])
			out.WriteString(indent + value)
		}
	}
	for !spill {
		match := assignment.FindStringSubmatchIndex(line)
		if match == nil {
			break
		}
		name, after := line[match[4]:match[5]], match[1]
		separator := line[match[8]:match[9]]
		if last := separator[len(separator)-1]; last == '"' || last == '\'' || last == '`' {
			after-- // the quote belongs to the value
		}
		if !isSecretName(name) {
			// Only the word is behind us: what follows it may be another name.
			after = match[7]
		}
		out.WriteString(line[:after])
		line = line[after:]
		if !isSecretName(name) {
			continue
		}
		value := strings.TrimLeft(line, " \t")
		out.WriteString(line[:len(line)-len(value)])
		switch {
		case value == "":
			return out.String(), true, false
		case (value[0] == '[' || value[0] == '{') && len(value) > 1:
			return out.String() + value[:1] + maskRest(value[1:]), false, false
		}
		value, line, spill = l.value(value)
		out.WriteString(value)
	}
	out.WriteString(line)
	return out.String(), false, spill
}

// value hides the value that a line begins with, and returns what follows it. spill
// says that the value has no end on the line.
func (l *looseMasker) value(line string) (masked, rest string, spill bool) {
	quote := line[0]
	if quote != '"' && quote != '\'' && quote != '`' {
		word, _, _ := strings.Cut(line, ",")
		switch strings.TrimRight(word, " \t}]") {
		case "true", "false", "null":
			return word, line[len(word):], false
		}
		return maskRest(line), "", false
	}
	for i := 1; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case quote:
			rest = line[i+1:]
			if after := strings.TrimLeft(rest, " \t"); after != "" && !strings.ContainsRune(",}]/:;\"'`#*", rune(after[0])) {
				// A quote within the value, as it seems: hide the rest, too.
				return maskRest(line), "", false
			}
			literal := line[:i+1]
			if quote != '"' {
				literal = quoted(line[1:i])
			}
			inner := literalText(literal)
			if !hidesText(inner) {
				return line[:i+1], rest, false
			}
			l.found = append(l.found, secretForms(inner, literal)...)
			return string(quote) + mask + string(quote), rest, false
		}
	}
	return maskRest(line), "", quote != '\''
}

// maskRest hides the rest of a line, but for the punctuation that ends it.
func maskRest(line string) string {
	body := strings.TrimRight(line, " \t,}]")
	if strings.TrimSpace(body) == "" {
		return line
	}
	indent := body[:len(body)-len(strings.TrimLeft(body, " \t"))]
	return indent + quoted(mask) + line[len(body):]
}

// maskBareSecrets hides words that look like tokens, outside of addresses.
func maskBareSecrets(line string) string {
	var out strings.Builder
	at := 0
	for _, match := range bareSecret.FindAllStringIndex(line, -1) {
		word := line[match[0]:match[1]]
		if match[0] > 0 && strings.IndexByte(".:/", line[match[0]-1]) >= 0 && !strings.HasPrefix(word, "BBDC-") || !looksRandom(word) {
			continue
		}
		out.WriteString(line[at:match[0]] + mask)
		at = match[1]
	}
	return out.String() + line[at:]
}

func looksRandom(word string) bool {
	if strings.HasPrefix(word, "BBDC-") {
		return true
	}
	var upper, lower, digit int
	for _, c := range []byte(word) {
		switch {
		case '0' <= c && c <= '9':
			digit++
		case 'a' <= c && c <= 'z':
			lower++
		case 'A' <= c && c <= 'Z':
			upper++
		}
	}
	return digit > 0 && lower > 0 && (upper > 0 || digit+lower == len(word) && len(word) >= 32)
}
