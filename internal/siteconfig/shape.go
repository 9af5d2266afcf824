package siteconfig

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// checkShape holds the document against the schema: types, bounds, missing and unknown
// keys. What it faults is not looked at by later checks.
func (c *checker) checkShape() {
	var invalid *jsonschema.ValidationError
	if !errors.As(compiledSchema().Validate(c.doc.root.instance()), &invalid) {
		return
	}
	c.shape(invalid)
}

func (c *checker) shape(e *jsonschema.ValidationError) {
	for _, cause := range e.Causes {
		c.shape(cause)
	}
	if len(e.Causes) > 0 {
		return
	}
	n, f := c.doc.root.at(e.InstanceLocation), site.at(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		c.unknownKeys(n, f, k.Properties)
		return
	case *kind.Required:
		for _, name := range k.Missing {
			c.fault(n, "%q is missing: add %s", name, f.child(name).fill)
		}
		return
	}
	c.bad[n] = true
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		if f.kind == "integer" && k.Got == "number" {
			c.fault(n, "must be a whole number, without a fraction")
			return
		}
		c.fault(n, "must be %s, not %s%s", typeName(f.kind), typeName(k.Got), typeMend(f.kind, k.Got))
	case *kind.Enum:
		c.fault(n, "must be %s", alternatives(f.enum))
	case *kind.Minimum:
		c.fault(n, "must be at least %d", f.min)
	case *kind.Maximum:
		c.fault(n, "must be at most %d", f.max)
	case *kind.MinItems:
		c.fault(n, "must not be an empty list: name at least one, or remove the key")
	default:
		c.fault(n, "does not have the form that the schema asks for")
	}
}

// typeName returns a JSON type with its article.
func typeName(jsonType string) string {
	switch jsonType {
	case "object":
		return "an object in braces"
	case "array":
		return "a list in brackets"
	case "integer":
		return "a whole number"
	case "boolean":
		return "true or false"
	case "string":
		return "a text"
	case "null":
		return "null"
	}
	return "a " + jsonType
}

// typeMend says what to do about a value of another type, where that is plain.
func typeMend(want, got string) string {
	switch {
	case got == "null":
		return ": leave the key out instead"
	case want == "string" && (got == "number" || got == "boolean"):
		return ": put it in double quotes"
	case (want == "boolean" || want == "integer") && got == "string":
		return ": write it without quotes"
	case want == "array" && got != "array":
		return ": put [ and ] around it"
	}
	return ""
}

// alternatives returns: "a", "b" or "c".
func alternatives(words []string) string {
	all := make([]string, len(words))
	for i, word := range words {
		all[i] = quoted(word)
	}
	last := len(all) - 1
	if last < 1 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:last], ", ") + " or " + all[last]
}

// unknownKeys reports keys that the object has none of, with the nearest that it has.
func (c *checker) unknownKeys(n *node, f *field, names []string) {
	unknown := make(map[string]bool, len(names))
	for _, name := range names {
		unknown[name] = true
	}
	for _, m := range n.members {
		if unknown[m.name] {
			c.add(SeverityError, m.start, m.value.path, "is not a known key: %s", unknownMend(f, m.name))
			unknown[m.name] = false // its duplicates are reported as such
		}
	}
}

func unknownMend(f *field, name string) string {
	if near := nearest(name, f.names()); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	for _, place := range []struct {
		f     *field
		where string
	}{{&site, "at the top level"}, {&connection, "within an entry of bitbucketServer"}} {
		if known := place.f.child(name); place.f != f && known != nil && known.ignored == "" {
			return "it stands " + place.where
		}
	}
	return "remove it"
}

// names returns the keys of an object that mean something here.
func (f *field) names() []string {
	var names []string
	for _, child := range f.fields {
		if child.ignored == "" {
			names = append(names, child.name)
		}
	}
	return names
}

// checkIgnored warns of keys that are accepted and mean nothing.
func (c *checker) checkIgnored(n *node, f *field) {
	for _, m := range n.members {
		child := f.child(m.name)
		switch {
		case child == nil:
		case child.ignored != "":
			c.add(SeverityWarning, m.start, m.value.path, "%s", child.ignored)
		default:
			c.checkIgnored(m.value, child)
		}
	}
	for _, element := range n.elements {
		if f.items != nil {
			c.checkIgnored(element, f.items)
		}
	}
}

// checkPlaceholders reports what a template left to fill in.
func (c *checker) checkPlaceholders(n *node, f *field) {
	if f.ignored != "" {
		return
	}
	for _, m := range n.members {
		if child := f.child(m.name); child != nil {
			c.checkPlaceholders(m.value, child)
		}
	}
	for _, element := range n.elements {
		if f.items != nil {
			c.checkPlaceholders(element, f.items)
		}
	}
	if f.kind != "string" || c.bad[n] || !n.isString() {
		return
	}
	// The placeholder is not repeated: somebody may have put the secret between its brackets.
	if text := strings.TrimSpace(n.text()); isPlaceholder(text) || f.address && hasPlaceholder(text) {
		c.bad[n] = true
		c.fault(n, "is still a placeholder, as its angle brackets tell: fill in %s", cmp.Or(f.fill, "a value"))
	}
}

func isPlaceholder(text string) bool {
	return len(text) > 1 && strings.HasPrefix(text, "<") && strings.HasSuffix(text, ">")
}

func hasPlaceholder(text string) bool {
	_, after, ok := strings.Cut(text, "<")
	return ok && strings.Contains(after, ">")
}
