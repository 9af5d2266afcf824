package extension

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Names of the source that the packing knows.
const (
	manifestName       = "manifest.json"
	builtinName        = "builtin.js"
	contentScriptsName = "content-scripts.js"
	sitesName          = "worker/sites.js"
	managedName        = "managed.json"
	userscriptMain     = "userscript/main.js"
	bookmarkletMain    = "userscript/bookmarklet.js"
	contentMain        = "content/main.js" // what the userscript has a main.js of its own for
)

// builtinPlain is the line of builtin.js that says that nothing is built in.
var builtinPlain = regexp.MustCompile(`(?m)^export const builtin = null;$`)

// source is the extension as it was read.
type source struct {
	files      map[string][]byte // of the extension, by name
	names      []string          // of files, sorted
	manifest   []byte
	scripts    []string // content scripts, in order
	minFirefox string
	user       []byte // userscript/main.js
	bookmark   []byte // userscript/bookmarklet.js
}

func readSource(files fs.FS) (*source, error) {
	s := &source{files: make(map[string][]byte)}
	root, err := fs.Sub(files, "extension")
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() || !isPacked(name):
			return nil
		}
		content, err := fs.ReadFile(root, name)
		s.files[name], s.names = withoutComments(name, content), append(s.names, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the extension: %w", err)
	}
	slices.Sort(s.names)
	if s.user, err = fs.ReadFile(files, userscriptMain); err != nil {
		return nil, fmt.Errorf("read the userscript: %w", err)
	}
	if s.bookmark, err = fs.ReadFile(files, bookmarkletMain); err != nil {
		return nil, fmt.Errorf("read the bookmarklet: %w", err)
	}
	for _, name := range []string{manifestName, builtinName, contentScriptsName} {
		if s.files[name] == nil {
			return nil, fmt.Errorf("the extension has no %s", name)
		}
	}
	s.manifest = s.files[manifestName]
	var m fields
	if err := json.Unmarshal(s.manifest, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestName, err)
	}
	if _, s.minFirefox, err = geckoOf(m); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestName, err)
	}
	if s.scripts, err = contentScripts(s.files[contentScriptsName]); err != nil {
		return nil, fmt.Errorf("%s: %w", contentScriptsName, err)
	}
	for _, name := range s.scripts {
		if s.files[name] == nil {
			return nil, fmt.Errorf("%s: there is no %s", contentScriptsName, name)
		}
	}
	return s, nil
}

// isPacked tells whether a file of the extension's folder belongs into a package: what it is drawn
// from, and what checks it, does not.
func isPacked(name string) bool {
	base := path.Base(name)
	return !strings.HasPrefix(base, ".") && !strings.HasSuffix(base, ".d.ts") && !strings.HasSuffix(base, ".test.js") &&
		path.Ext(base) != ".svg" && path.Ext(base) != ".md" && base != "tsconfig.json"
}

var (
	scriptList = regexp.MustCompile(`(?s)export const contentScripts\b[^=]*=[^\[]*\[(.*?)\]`)
	scriptName = regexp.MustCompile(`"([^"\n]*)"|'([^'\n]*)'`)
	comment    = regexp.MustCompile(`(?m)//.*$|/\*(?s:.*?)\*/`)
)

// contentScripts reads the list that content-scripts.js exports: an array of plain strings.
func contentScripts(module []byte) ([]string, error) {
	list := scriptList.FindSubmatch(comment.ReplaceAll(module, nil))
	if list == nil {
		return nil, errors.New("it exports no array contentScripts")
	}
	var names []string
	for _, name := range scriptName.FindAllSubmatch(list[1], -1) {
		names = append(names, string(name[1])+string(name[2]))
	}
	if rest := strings.Trim(scriptName.ReplaceAllString(string(list[1]), ""), ", \t\r\n"); rest != "" {
		return nil, fmt.Errorf("contentScripts holds something other than plain strings: %q", rest)
	}
	if len(names) == 0 {
		return nil, errors.New("contentScripts is empty")
	}
	return names, nil
}

// builtin returns builtin.js with the configuration in it.
func (s *source) builtin(c Configuration) ([]byte, error) {
	plain := s.files[builtinName]
	if len(builtinPlain.FindAll(plain, -1)) != 1 {
		return nil, fmt.Errorf("%s: it has no line %q", builtinName, "export const builtin = null;")
	}
	literal, err := scriptLiteral(c)
	if err != nil {
		return nil, err
	}
	return builtinPlain.ReplaceAllLiteral(plain, append(append([]byte("export const builtin = "), literal...), ';')), nil
}

// scriptLiteral writes a configuration as an expression of JavaScript. JSON is one; the escapes
// of < > & and of the line separators, which encoding/json makes, keep it one everywhere.
func scriptLiteral(c Configuration) ([]byte, error) { return json.Marshal(c) }

// packedSites stands in the place of worker/sites.js, which registers the content scripts of the plain
// extension: those of a packed one stand in its manifest.
const packedSites = "export const registerSites = () => undefined;\n"

// tree returns the files of the extension for a browser, by name.
func (s *source) tree(b Browser, manifest, builtin []byte) []File {
	files := make([]File, 0, len(s.names))
	for _, name := range s.names {
		content := s.files[name]
		switch name {
		case manifestName:
			content = manifest
		case builtinName:
			content = builtin
		case sitesName:
			content = []byte(packedSites)
		case contentScriptsName:
			continue // for sites.js
		case managedName:
			if b == Firefox { // it has no schema of managed values
				continue
			}
		}
		files = append(files, File{Name: name, Content: content})
	}
	return files
}

// placeholder stands for the configuration in userscript and bookmarklet.
var placeholder = []byte(`"__SIGNPOST_CONFIGURATION__"`)

// configured puts a configuration in the place of the placeholder.
func configured(name string, script []byte, c Configuration) ([]byte, error) {
	if bytes.Count(script, placeholder) != 1 {
		return nil, fmt.Errorf("%s: the placeholder %s is not there exactly once", name, placeholder)
	}
	literal, err := scriptLiteral(c)
	if err != nil {
		return nil, err
	}
	return bytes.Replace(script, placeholder, literal, 1), nil
}
