package siteconfig

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSetPrimaryURLChangesNothingElse(t *testing.T) {
	t.Parallel()
	const address = "https://new.example.com"
	for _, c := range []struct{ name, text, want string }{
		{
			"it is replaced where it stands",
			"{ // mine\n\t\"primaryURL\" : /* old */ \"https://old.example.com\" , // links\n}",
			"{ // mine\n\t\"primaryURL\" : /* old */ \"https://new.example.com\" , // links\n}",
		},
		{"a value of another type is replaced", `{"primaryURL": null}`, `{"primaryURL": "https://new.example.com"}`},
		{"an empty text", "", "{\n  \"primaryURL\": \"https://new.example.com\"\n}\n"},
		{"a text of comments", "// mine", "// mine\n{\n  \"primaryURL\": \"https://new.example.com\"\n}\n"},
		{"an empty object", "{}", "{\n  \"primaryURL\": \"https://new.example.com\"\n}"},
		{"an object of comments", "{\n  // nothing yet\n}\n", "{\n  // nothing yet\n  \"primaryURL\": \"https://new.example.com\"\n}\n"},
		{"an object on one line", `{ "corsOrigin": "" }`, `{ "corsOrigin": "", "primaryURL": "https://new.example.com"}`},
		{
			"after the last key, whose comment stays with it",
			"{\n\t\"corsOrigin\": \"\" // nobody\n\t// the end\n}\n",
			"{\n\t\"corsOrigin\": \"\", // nobody\n\t// the end\n\t\"primaryURL\": \"https://new.example.com\"\n}\n",
		},
		{
			"after a trailing comma",
			"{\n    \"corsOrigin\": \"\", // nobody\n}\n",
			"{\n    \"corsOrigin\": \"\", // nobody\n    \"primaryURL\": \"https://new.example.com\",\n}\n",
		},
		{
			"line ends of Windows and a byte order mark",
			"\ufeff{\r\n  \"corsOrigin\": \"\"\r\n}\r\n",
			"\ufeff{\r\n  \"corsOrigin\": \"\",\r\n  \"primaryURL\": \"https://new.example.com\"\r\n}\r\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := SetPrimaryURL(c.text, address)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			config, said := Check(got, CheckOptions{})
			if config == nil || config.Primary.String() != address {
				t.Errorf("the result says %v, problems %v", config, said)
			}
		})
	}
}

func TestSetPrimaryURLWritesAnyTextAsAString(t *testing.T) {
	t.Parallel()
	got, err := SetPrimaryURL("", "a\"b\\c\n<&>")
	if want := "{\n  \"primaryURL\": \"a\\\"b\\\\c\\n<&>\"\n}\n"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestATextThatCannotBeEditedIsRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{":                                      `1:2 error: the text ends here, but the "{" of line 1, column 1 is not closed: "}" is missing`,
		"[]":                                     "1:1 error: must be an object in braces",
		`{"primaryURL": "a", "primaryURL": "b"}`: "1:21 error primaryURL: is set twice, first on line 1, column 2: keep one of the two",
	} {
		var said Problems
		if _, err := SetPrimaryURL(text, "x"); !errors.As(err, &said) || said.Error() != want {
			t.Errorf("SetPrimaryURL(%s): %v, want %s", text, err, want)
		}
		if _, _, _, err := AddBitbucketServer(text); !errors.As(err, &said) || said.Error() != want {
			t.Errorf("AddBitbucketServer(%s): %v, want %s", text, err, want)
		}
	}
	var said Problems
	if _, _, _, err := AddBitbucketServer(`{"bitbucketServer": {}}`); !errors.As(err, &said) {
		t.Errorf("an entry is added to an object: %v", err)
	}
}

func TestAddBitbucketServerAppendsAnEntry(t *testing.T) {
	t.Parallel()
	entry := func(indent string) string {
		return indent + "{\n" + indent + "  \"url\": \"https://bitbucket.example.com\",\n" +
			indent + "  \"token\": \"" + tokenPlaceholder + "\"\n" + indent + "}"
	}
	for _, c := range []struct{ name, text, want string }{
		{"to an empty text", "", "{\n  \"bitbucketServer\": [\n" + entry("    ") + "\n  ]\n}\n"},
		{
			"to a text without the list",
			"{\n  \"corsOrigin\": \"\", // nobody\n}\n",
			"{\n  \"corsOrigin\": \"\", // nobody\n  \"bitbucketServer\": [\n" + entry("    ") + "\n  ],\n}\n",
		},
		{
			"to an object on one line",
			`{"corsOrigin": ""}`,
			"{\"corsOrigin\": \"\",\n  \"bitbucketServer\": [\n" + entry("    ") + "\n  ]\n}",
		},
		{"to an empty list", "{\n  \"bitbucketServer\": []\n}\n", "{\n  \"bitbucketServer\": [\n" + entry("    ") + "\n  ]\n}\n"},
		{
			"to a list of one, comments kept",
			"{\n  \"bitbucketServer\": [\n    {\"url\": \"https://a.example.com\"} // the first\n    // and no more\n  ]\n}\n",
			"{\n  \"bitbucketServer\": [\n    {\"url\": \"https://a.example.com\"}, // the first\n    // and no more\n" + entry("    ") + "\n  ]\n}\n",
		},
		{
			"after a trailing comma",
			"{\n  \"bitbucketServer\": [\n    {\n    }, /* x */\n  ],\n}\n",
			"{\n  \"bitbucketServer\": [\n    {\n    }, /* x */\n" + entry("    ") + ",\n  ],\n}\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, start, end, err := AddBitbucketServer(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got[start:end] != tokenPlaceholder || got[start-1] != '"' || got[end] != '"' {
				t.Errorf("selected is %q", got[start:end])
			}
			if _, said := Check(got, CheckOptions{}); !strings.Contains(said.Error(), "fill in an HTTP access token") {
				t.Errorf("the placeholder is not asked to be filled in: %v", said)
			}
		})
	}
}
