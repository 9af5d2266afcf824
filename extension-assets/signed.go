package extension

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxManifest bounds how much of a manifest in a signed XPI is read, in bytes.
const maxManifest = 1 << 20

// SignedXPI is the add-on as Mozilla signed it. Firefox takes no other in its release versions.
type SignedXPI struct {
	content          []byte
	id               string
	version          string
	strictMinVersion string
}

// ReadSignedXPI reads what Mozilla gave back. It does not verify the signature, which Firefox does; it
// refuses a file that has none.
func ReadSignedXPI(content []byte) (*SignedXPI, error) {
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, fmt.Errorf("the signed XPI is no archive: %w", err)
	}
	if signature, err := archive.Open("META-INF/mozilla.rsa"); err != nil {
		return nil, errors.New("the XPI is not signed: it has no META-INF/mozilla.rsa; give " + ZipName(Firefox) + " to Mozilla and put here what comes back")
	} else if err := signature.Close(); err != nil {
		return nil, err
	}
	file, err := archive.Open(manifestName)
	if err != nil {
		return nil, fmt.Errorf("the signed XPI has no %s: %w", manifestName, err)
	}
	defer func() { _ = file.Close() }() // read only
	text, err := io.ReadAll(io.LimitReader(file, maxManifest))
	if err != nil {
		return nil, fmt.Errorf("the %s of the signed XPI: %w", manifestName, err)
	}
	var m fields
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("the %s of the signed XPI: %w", manifestName, err)
	}
	gecko, strictMinVersion, err := geckoOf(m)
	if err != nil {
		return nil, fmt.Errorf("the %s of the signed XPI: %w", manifestName, err)
	}
	s := &SignedXPI{content: content, strictMinVersion: strictMinVersion}
	s.id, _ = gecko["id"].(string)
	s.version, _ = m["version"].(string)
	if s.id == "" || s.version == "" {
		return nil, fmt.Errorf("the %s of the signed XPI has no id or no version", manifestName)
	}
	return s, nil
}

// fits tells whether it is this add-on, and not one that was signed for another server. An older
// version of it is better than one that Firefox refuses.
func (s *SignedXPI) fits(id string) bool { return s != nil && s.id == id }
