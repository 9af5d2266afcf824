package siteconfig

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed schema.json
var schemaFile []byte

// Schema returns the JSON Schema (draft 7, which editors know best) of the site
// configuration, with a description of each key. The caller may keep it and must not
// change it.
func Schema() []byte { return schemaFile }

// compiledSchema is Schema as the checks use it.
var compiledSchema = sync.OnceValue(func() *jsonschema.Schema {
	const name = "site-configuration.json"
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaFile))
	if err != nil {
		panic(fmt.Sprintf("siteconfig: schema.json is no JSON: %v", err)) // a test holds it
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(name, doc); err != nil {
		panic(fmt.Sprintf("siteconfig: schema.json is no schema: %v", err))
	}
	return compiler.MustCompile(name)
})

// generateSchema makes the text of schema.json from the table of keys.
func generateSchema() ([]byte, error) {
	root := append(ordered{
		{"$schema", "http://json-schema.org/draft-07/schema#"},
		{"$comment", "Generated from keys.go by go generate. Do not edit."},
		{"title", "Site configuration of Signpost"},
	}, site.schema()...)
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		return nil, fmt.Errorf("siteconfig: encode the schema: %w", err)
	}
	return text.Bytes(), nil
}

// schema returns the schema of a key.
func (f *field) schema() ordered {
	var s ordered
	add := func(key string, value any) { s = append(s, pair{key, value}) }
	if f.ignored != "" {
		add("description", "Of Sourcegraph's configuration. It "+f.ignored+".")
		add("deprecated", true)
		return s
	}
	if f.doc != "" {
		add("description", f.doc)
	}
	add("type", f.kind)
	if len(f.enum) > 0 {
		add("enum", f.enum)
	}
	if f.min != f.max {
		add("minimum", f.min)
		add("maximum", f.max)
	}
	if f.fallback != nil {
		add("default", f.fallback)
	}
	if len(f.examples) > 0 {
		add("examples", f.examples)
	}
	if f.items != nil {
		add("items", f.items.schema())
	}
	if f.minItems > 0 {
		add("minItems", f.minItems)
	}
	if f.kind == "object" {
		var properties, patterns ordered
		var required []string
		for i := range f.fields {
			child := &f.fields[i]
			if prefix, ok := strings.CutSuffix(child.name, "*"); ok {
				patterns = append(patterns, pair{"^" + regexp.QuoteMeta(prefix), child.schema()})
				continue
			}
			properties = append(properties, pair{child.name, child.schema()})
			if child.required {
				required = append(required, child.name)
			}
		}
		add("properties", properties)
		if patterns != nil {
			add("patternProperties", patterns)
		}
		if required != nil {
			add("required", required)
		}
		add("additionalProperties", false)
	}
	return s
}

// ordered is a JSON object whose keys stay in order.
type ordered []pair

type pair struct {
	key   string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o ordered) MarshalJSON() ([]byte, error) {
	var text bytes.Buffer
	text.WriteByte('{')
	for i, p := range o {
		if i > 0 {
			text.WriteByte(',')
		}
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(p.key); err != nil {
			return nil, err
		}
		text.WriteByte(':')
		if err := encoder.Encode(p.value); err != nil {
			return nil, err
		}
	}
	text.WriteByte('}')
	return text.Bytes(), nil
}

// child returns the description of a key of the object, or nil for an unknown one.
func (f *field) child(name string) *field {
	i := slices.IndexFunc(f.fields, func(c field) bool { return c.name == name })
	if i < 0 {
		i = slices.IndexFunc(f.fields, func(c field) bool {
			prefix, ok := strings.CutSuffix(c.name, "*")
			return ok && strings.HasPrefix(name, prefix)
		})
	}
	if i < 0 {
		return nil
	}
	return &f.fields[i]
}

// at returns the description of the value at a location as the schema's validator gives it.
func (f *field) at(location []string) *field {
	for _, step := range location {
		switch {
		case f.items != nil:
			f = f.items
		case f.child(step) != nil:
			f = f.child(step)
		}
	}
	return f
}
