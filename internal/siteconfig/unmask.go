package siteconfig

import "strings"

// Unmask puts the secrets of a stored text back into one that Mask made of it and somebody
// changed since. A masked secret gets the stored value of the same key in the same
// connection, wherever that stands now; what has none is an error of the type Problems that
// asks for the secret. A connection is known by its url: one whose url was changed, be it
// only the scheme or the port, does not keep its secrets, lest whoever may change the
// configuration have them sent to a host of their own.
//
// Comments get back what was masked in them when they still stand in the same connection,
// unchanged; others stay masked. A text that cannot be parsed is returned as it is, for
// Check to say why.
func Unmask(masked, stored string) (string, error) {
	u := unmask(masked, stored)
	if len(u.missing) > 0 {
		return "", problems(masked, u.missing)
	}
	return u.text, nil
}

// unmasked is a text with its secrets put back as far as they are known.
type unmasked struct {
	text    string
	edits   []edit    // that made it from the masked text
	missing []finding // secrets that are not known; offsets in the masked text
}

func unmask(masked, stored string) unmasked {
	mark, rest := cutMark(masked)
	doc, broken := parse(rest)
	if broken != nil {
		return unmasked{text: masked}
	}
	known := map[string][]place{}
	urls := map[string]bool{}
	_, storedRest := cutMark(stored)
	if storedDoc, broken := parse(storedRest); broken == nil {
		for _, p := range newMasker(storedDoc).places {
			urls[p.entry] = true
			if p.masked != p.original {
				key := p.id + "\x00" + p.masked
				known[key] = append(known[key], p)
			}
		}
	}
	var u unmasked
	for _, p := range newMasker(doc).places {
		if !strings.Contains(p.original, mask) {
			continue
		}
		key := p.id + "\x00" + p.original
		if from := known[key]; len(from) > 0 {
			// Comments that look alike when masked are taken in their order.
			known[key] = from[1:]
			u.edits = append(u.edits, edit{p.start + len(mark), p.end + len(mark), from[0].original})
			continue
		}
		if p.secret && p.original == quoted(mask) {
			u.missing = append(u.missing, finding{
				severity: SeverityError, offset: p.start + len(mark), key: p.path, message: missingSecret(p, urls),
			})
		}
	}
	u.text = applyEdits(masked, u.edits)
	return u
}

// missingSecret says why a masked secret has no value.
func missingSecret(p place, urls map[string]bool) string {
	if p.entry != "" && !urls[p.entry] {
		return "is masked, and no secret is stored for this url (a connection whose url was changed does not keep its secrets): type the secret"
	}
	return "is masked, and no secret is stored for it: type the secret"
}

// before returns the offset in the masked text of an offset in the unmasked one.
func (u unmasked) before(offset int) int {
	shift := 0 // by how much the unmasked text is ahead
	for _, e := range u.edits {
		start := e.start + shift
		if offset < start {
			break
		}
		if offset < start+len(e.text) {
			return e.start
		}
		shift += len(e.text) - (e.end - e.start)
	}
	return offset - shift
}
