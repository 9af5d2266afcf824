package resolver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"example.com/signpost/internal/sourcegraph"
)

// errForeignLink means that a link was made that does not lie below the primary URL. It
// is a defect; the link is neither cached nor returned.
var errForeignLink = errors.New("a link outside the primary URL was refused")

// check holds the invariant: every address in the link lies below the primary URL.
func (l *Link) check(primary sourcegraph.Instance) error {
	if primary.IsZero() {
		return ErrPrimaryURLNotSet
	}
	if !below(l.URL, primary.String()) {
		return fmt.Errorf("%w: url", errForeignLink)
	}
	for kind, url := range l.Links {
		if !below(url, primary.String()) {
			return fmt.Errorf("%w: links.%s", errForeignLink, kind)
		}
	}
	return nil
}

// below tells whether url is base or begins with it, as a whole host and path.
func below(url, base string) bool {
	rest, ok := strings.CutPrefix(url, base)
	return ok && base != "" && (rest == "" || rest[0] == '/' || rest[0] == '?')
}

// encode returns the link as the API writes it: JSON that keeps "&", "<" and ">" as they are, and a line feed.
func (l *Link) encode() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(l); err != nil {
		return nil, fmt.Errorf("encoding a link: %w", err)
	}
	return bytes.Clone(b.Bytes()), nil
}
