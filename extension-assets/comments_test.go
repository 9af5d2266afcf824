package extension

import "testing"

func TestCommentsAreLeftOutOfScriptsAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, file, content, want string }{
		{"lines of comment", "a.js", "// One\n// two.\n\nrun();\n\t// three\n\trun();\n", "run();\n\trun();\n"},
		{"a block", "a.js", "/**\n * Says.\n *\n * @param {string} a\n */\nfunction f(a) {}\n", "function f(a) {}\n"},
		{"a block in one line", "a.js", "\t/** Says. */\n\tconst a = 1;\n", "\tconst a = 1;\n"},
		{"two blocks", "a.js", "/** One. */\nconst a = 1;\n/** Two. */\nconst b = 2;\n", "const a = 1;\nconst b = 2;\n"},
		{"the type of an expression", "a.js", "const a = /** @type {any} */ (b);\n", "const a = (b);\n"},
		{"an address", "a.js", "const a = \"https://signpost.example.com\"; // kept\n", "const a = \"https://signpost.example.com\"; // kept\n"},
		{"a pattern", "a.js", "const a = \"http://*/*\", b = \"/**/\";\n", "const a = \"http://*/*\", b = \"/**/\";\n"},
		{"empty lines", "a.js", "a();\n\n\t\n\nb();\n", "a();\nb();\n"},
		{"white space of JSON", "a.json", "{\n  \"a b\": [1, 2]\n}\n", `{"a b":[1,2]}`},
		{"broken JSON", "a.json", "{ ", "{ "},
		{"a style sheet", "a.css", "/* One. */\n// a\n\na { b: c; } /* kept */\n\t/* two\n and three */\nd { e: f; }\n", "// a\n\na { b: c; } /* kept */\nd { e: f; }\n"},
		{"another file", "a.html", "// a\n\n/** b */\n", "// a\n\n/** b */\n"},
	} {
		if got := string(withoutComments(c.file, []byte(c.content))); got != c.want {
			t.Errorf("%s: %q became %q, want %q", c.name, c.content, got, c.want)
		}
	}
}
