package bitbuckettest_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// page is a web page that was parsed, what its templates hold included.
type page struct {
	status int
	header http.Header
	root   *html.Node
}

func fetchPage(t *testing.T, s *bitbuckettest.Server, path, credential string) page {
	t.Helper()
	res := request(t, s, path, credential)
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return page{res.StatusCode, res.Header, parsePage(t, string(text))}
}

func parsePage(t *testing.T, text string) *html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// all returns the elements that a selector finds: "tag#id.class[attribute=value]" and descendants.
func (p page) all(selector string) []*html.Node { return selectAll(p.root, selector) }

func selectAll(root *html.Node, selector string) []*html.Node {
	steps := strings.Fields(selector)
	found := []*html.Node{root}
	for _, step := range steps {
		var next []*html.Node
		for _, from := range found {
			for node := range from.Descendants() {
				if matches(node, step) && !slices.Contains(next, node) {
					next = append(next, node)
				}
			}
		}
		found = next
	}
	return found
}

func matches(node *html.Node, step string) bool {
	if node.Type != html.ElementNode {
		return false
	}
	at := strings.IndexAny(step, "#.[")
	if at < 0 {
		return node.Data == step
	}
	if at > 0 && node.Data != step[:at] {
		return false
	}
	for step = step[at:]; step != ""; {
		end := len(step)
		if step[0] == '[' {
			end = strings.Index(step, "]") + 1
		} else if next := strings.IndexAny(step[1:], "#.["); next >= 0 {
			end = next + 1
		}
		word := step[1:end]
		switch step[0] {
		case '#':
			if attribute(node, "id") != word {
				return false
			}
		case '.':
			if !slices.Contains(strings.Fields(attribute(node, "class")), word) {
				return false
			}
		case '[':
			name, value, hasValue := strings.Cut(strings.TrimSuffix(word, "]"), "=")
			if !hasAttribute(node, name) || hasValue && attribute(node, name) != value {
				return false
			}
		}
		step = step[end:]
	}
	return true
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasAttribute(node *html.Node, name string) bool {
	return slices.ContainsFunc(node.Attr, func(a html.Attribute) bool { return a.Key == name })
}

// text is what an element shows.
func text(node *html.Node) string {
	var out strings.Builder
	for child := range node.Descendants() {
		if child.Type == html.TextNode {
			out.WriteString(child.Data)
		}
	}
	return out.String()
}

// texts are those of several elements.
func texts(nodes []*html.Node) []string {
	var out []string
	for _, node := range nodes {
		out = append(out, text(node))
	}
	return out
}

// comments returns the comments of a page.
func (p page) comments() string {
	var out strings.Builder
	for node := range p.root.Descendants() {
		if node.Type == html.CommentNode {
			out.WriteString(node.Data + "\n")
		}
	}
	return out.String()
}
