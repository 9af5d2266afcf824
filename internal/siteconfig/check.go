package siteconfig

import (
	"fmt"
	"os"

	"example.com/signpost/internal/bitbucket"
)

// CheckOptions says where "env:NAME" and "file:PATH" secrets come from. The zero value
// takes them from the environment and the disk of this process.
type CheckOptions struct {
	LookupEnv func(name string) (string, bool)
	ReadFile  func(path string) ([]byte, error)
}

// Check reads the text of a site configuration and returns every problem in it. The Config
// is nil exactly when a problem is an error; its Version is 0, a Publisher sets it. An empty
// text is an empty configuration. Check reads what "env:" and "file:" secrets name, and
// nothing else. It is safe for concurrent use.
func Check(text string, o CheckOptions) (*Config, Problems) {
	mark, rest := cutMark(text)
	config, found := check(rest, o)
	for i := range found {
		found[i].offset += len(mark)
	}
	return config, problems(text, found)
}

// check is Check for a text without a byte order mark, with offsets for places.
func check(text string, o CheckOptions) (*Config, []finding) {
	doc, broken := parse(text)
	if broken != nil {
		return nil, []finding{*broken}
	}
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	if o.ReadFile == nil {
		o.ReadFile = readSecretFile
	}
	c := &checker{
		CheckOptions: o, doc: doc, findings: doc.root.duplicates(doc.text), bad: map[*node]bool{},
		addresses: map[bitbucket.BaseURL]string{}, names: map[string]string{},
	}
	c.checkShape()
	c.checkIgnored(doc.root, &site)
	c.checkPlaceholders(doc.root, &site)
	config := c.site(doc.root)
	for _, f := range c.findings {
		if f.severity == SeverityError {
			return nil, c.findings
		}
	}
	return config, c.findings
}

// checker collects what is wrong with a document while it reads the configuration from it.
type checker struct {
	CheckOptions
	doc      *document
	findings []finding
	bad      map[*node]bool // values that are faulted already

	addresses map[bitbucket.BaseURL]string // key path of the connection that has an address
	names     map[string]string            // and that of one that has a name, in lower case
}

// fault reports an error at a value.
func (c *checker) fault(n *node, format string, args ...any) {
	c.add(SeverityError, n.start, n.path, format, args...)
}

// warn reports a warning at a value.
func (c *checker) warn(n *node, format string, args ...any) {
	c.add(SeverityWarning, n.start, n.path, format, args...)
}

func (c *checker) add(severity Severity, offset int, key, format string, args ...any) {
	c.findings = append(c.findings, finding{
		severity: severity, offset: offset, key: key, message: fmt.Sprintf(format, args...),
	})
}

// value returns the value of a key, or nil when it is absent or faulted already.
func (c *checker) value(n *node, name string) *node {
	if v := n.get(name); v != nil && !c.bad[v] {
		return v
	}
	return nil
}

// text returns the value of a key that is a text, and its node; nil when it is absent,
// empty or faulted already.
func (c *checker) text(n *node, name string) (string, *node) {
	if v := c.value(n, name); v.isString() && v.text() != "" {
		return v.text(), v
	}
	return "", nil
}

// list returns the elements of a key that are not faulted already.
func (c *checker) list(n *node, name string) []*node {
	v := c.value(n, name)
	if v == nil {
		return nil
	}
	var whole []*node
	for _, element := range v.elements {
		if !c.bad[element] {
			whole = append(whole, element)
		}
	}
	return whole
}

// flag returns the value of a key that is true or false.
func (c *checker) flag(n *node, name string, fallback bool) bool {
	if v := c.value(n, name); v != nil {
		return v.kind == 't'
	}
	return fallback
}

// number returns the value of a key that is a whole number within the schema's bounds.
func (c *checker) number(n *node, name string, fallback int) int {
	if v := c.value(n, name); v != nil {
		return v.integer()
	}
	return fallback
}
