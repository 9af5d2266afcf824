package extension

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Path is where the server hands the files out, below its own address.
const Path = "/extension/"

// EditionParameter is the query parameter of an address that names an edition of a file: what such
// an address gives never changes.
const EditionParameter = "v"

// The names of the files that Build makes, beside those of policies.
const (
	CRX         = "signpost.crx"
	XPI         = "signpost.xpi"
	UpdatesXML  = "updates.xml"
	UpdatesJSON = "updates.json"
	Userscript  = "signpost.user.js"
	Bookmarklet = "bookmarklet"
)

// ZipName is the name of the unpacked form for a browser.
func ZipName(b Browser) string { return "signpost-" + string(b) + ".zip" }

// File is one that was built. Its content is shared: do not change it.
type File struct {
	Name        string // with slashes
	ContentType string // for HTTP; "" in an unpacked folder
	Content     []byte
	ETag        string // strong, in quotes; "" in an unpacked folder
	// Edition names exactly these bytes, in the addresses of the update manifests: the version alone
	// does not, since Mozilla's signature makes other bytes of the same version. "" where no address has one.
	Edition string
}

// Packages are all that is handed out for one configuration in one version. They do not change.
type Packages struct {
	Configuration Configuration
	Version       string
	ChromeID      string // of the extension in Chrome and Edge
	FirefoxID     string // of the add-on
	XPIVersion    string // of the XPI: an older one while the newest is not signed
	XPISigned     bool   // the XPI is one that Mozilla signed
	Bookmarklet   string // the javascript: address
	files         []File // by name
	unpacked      []File // "chrome/manifest.json" and so on
}

// Input is all that the packages depend on.
type Input struct {
	Configuration Configuration
	Version       string          // see VersionText
	Key           *rsa.PrivateKey // signs the CRX and makes the ids
	Source        fs.FS           // with the folders extension and userscript
	Signed        *SignedXPI      // handed out in place of what is built; nil for none
}

// VersionText writes a version number as the browsers want it: rising with the number, at most four
// parts, none above 65535.
func VersionText(number int64) string {
	const part = 10_000
	return "1." + strconv.FormatInt(number/part, 10) + "." + strconv.FormatInt(number%part, 10)
}

// Build makes the packages. The same input gives the same bytes. The errors are those of
// Configuration.Check, or say what is wrong with the source.
func Build(in Input) (*Packages, error) {
	packed, err := prepare(in)
	if err != nil {
		return nil, fmt.Errorf("extension: %w", err)
	}
	p, err := packed.packages()
	if err != nil {
		return nil, fmt.Errorf("extension: %w", err)
	}
	return p, nil
}

// Digest tells two inputs apart whose packages differ in more than the version.
func Digest(in Input) (string, error) {
	in.Version, in.Signed = "0", nil
	packed, err := prepare(in)
	if err != nil {
		return "", fmt.Errorf("extension: %w", err)
	}
	digest := sha256.New()
	for _, file := range append(packed.unpacked(), File{Name: Userscript, Content: packed.userscript}) {
		sum := sha256.Sum256(file.Content)
		fmt.Fprintf(digest, "%x %s\n", sum, file.Name)
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

// File returns the file of this name.
func (p *Packages) File(name string) (File, bool) {
	i, ok := slices.BinarySearchFunc(p.files, name, func(f File, name string) int { return strings.Compare(f.Name, name) })
	if !ok {
		return File{}, false
	}
	return p.files[i], true
}

// Files returns what is handed out, by name.
func (p *Packages) Files() []File { return slices.Clone(p.files) }

// Unpacked returns the files of the extension for each browser, as it can be loaded unpacked: their
// names begin with the browser's.
func (p *Packages) Unpacked() []File { return slices.Clone(p.unpacked) }

// prepared are the contents of all packages, not packed yet.
type prepared struct {
	in         Input
	addresses  addresses
	trees      map[Browser][]File
	userscript []byte
	bookmark   string
	minFirefox string
}

func prepare(in Input) (*prepared, error) {
	a, err := in.Configuration.read()
	if err != nil {
		return nil, err
	}
	p := &prepared{in: in, addresses: a, trees: make(map[Browser][]File)}
	source, err := readSource(in.Source)
	if err != nil {
		return nil, err
	}
	p.minFirefox = source.minFirefox
	builtin, err := source.builtin(a.configuration())
	if err != nil {
		return nil, err
	}
	for _, b := range Browsers {
		m, err := manifest(b, source.manifest, in, a, source.scripts)
		if err != nil {
			return nil, err
		}
		p.trees[b] = source.tree(b, m, builtin)
	}
	if p.userscript, err = source.userscript(in.Version, a); err != nil {
		return nil, err
	}
	if p.bookmark, err = source.bookmarklet(a.configuration()); err != nil {
		return nil, err
	}
	return p, nil
}

// unpacked returns the trees as folders side by side.
func (p *prepared) unpacked() []File {
	var all []File
	for _, b := range Browsers {
		for _, file := range p.trees[b] {
			all = append(all, File{Name: path.Join(string(b), file.Name), Content: file.Content})
		}
	}
	return all
}

// packages packs and signs.
func (p *prepared) packages() (*Packages, error) {
	id, err := ChromeID(p.in.Key)
	if err != nil {
		return nil, err
	}
	out := &Packages{
		Configuration: p.addresses.configuration(), Version: p.in.Version, ChromeID: id, FirefoxID: firefoxID(id),
		Bookmarklet: p.bookmark, unpacked: p.unpacked(), XPIVersion: p.in.Version,
	}
	zips := make(map[Browser][]byte)
	for _, b := range Browsers {
		if zips[b], err = archive(p.trees[b]); err != nil {
			return nil, err
		}
		out.add(ZipName(b), "application/zip", zips[b])
	}
	crx, err := packCRX(p.in.Key, zips[Chrome])
	if err != nil {
		return nil, err
	}
	edition := editionOf(p.in.Version, crx)
	out.addEdition(CRX, "application/x-chrome-extension", crx, edition)
	out.add(UpdatesXML, "application/xml", updatesXML(p.addresses, id, p.in.Version, edition))

	xpi, minFirefox := zips[Firefox], p.minFirefox
	if signed := p.in.Signed; signed.fits(out.FirefoxID) {
		xpi, minFirefox = signed.content, signed.strictMinVersion
		out.XPIVersion, out.XPISigned = signed.version, true
	}
	out.addEdition(XPI, "application/x-xpinstall", xpi, editionOf(out.XPIVersion, xpi))
	updates, err := updatesJSON(p.addresses, out.FirefoxID, out.XPIVersion, minFirefox, xpi)
	if err != nil {
		return nil, err
	}
	out.add(UpdatesJSON, "application/json", updates)
	out.add(Userscript, "text/javascript; charset=utf-8", p.userscript)
	out.add(Bookmarklet, "text/plain; charset=utf-8", []byte(p.bookmark+"\n"))
	if err := out.addPolicies(p.addresses); err != nil {
		return nil, err
	}
	slices.SortFunc(out.files, func(x, y File) int { return strings.Compare(x.Name, y.Name) })
	return out, nil
}

func (p *Packages) add(name, contentType string, content []byte) {
	p.addEdition(name, contentType, content, "")
}

// addEdition adds a file that an update manifest names by its edition.
func (p *Packages) addEdition(name, contentType string, content []byte, edition string) {
	digest := sha256.Sum256(content)
	p.files = append(p.files, File{
		Name: name, ContentType: contentType, Content: content, ETag: `"` + hex.EncodeToString(digest[:16]) + `"`, Edition: edition,
	})
}

func editionOf(version string, content []byte) string {
	digest := sha256.Sum256(content)
	return version + "-" + hex.EncodeToString(digest[:4])
}
