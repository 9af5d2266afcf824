package siteconfig

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write schema.json and the .want files anew")

func TestSchemaFileIsFresh(t *testing.T) {
	t.Parallel()
	want, err := generateSchema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(Schema(), want) {
		t.Error("schema.json is not what keys.go makes: run go generate ./internal/siteconfig")
	}
}

func TestEveryKeyOfTheSchemaIsDescribed(t *testing.T) {
	t.Parallel()
	var walk func(path string, f field)
	walk = func(path string, f field) {
		for _, child := range f.fields {
			path := path + "." + child.name
			if child.ignored != "" {
				continue
			}
			if len(child.doc) < 20 || !strings.HasSuffix(child.doc, ".") {
				t.Errorf("%s: description %q is no sentence", path, child.doc)
			}
			walk(path, child)
		}
		if f.items != nil {
			walk(path+"[]", *f.items)
		}
	}
	walk("", site)
}

func TestDefaultsAndExamplesOfTheSchemaFitIt(t *testing.T) {
	t.Parallel()
	var schema struct {
		Properties map[string]any
	}
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	if len(schema.Properties) < 10 {
		t.Errorf("the schema has %d properties", len(schema.Properties))
	}
	if err := compiledSchema().Validate(map[string]any{}); err != nil {
		t.Errorf("an empty configuration does not fit the schema: %v", err)
	}
}
