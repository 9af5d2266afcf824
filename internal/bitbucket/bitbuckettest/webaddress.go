package bitbuckettest

import "strings"

// pageURL is the address of a page of the repository, without host: its name, a path below it
// ("" for none), and pairs of parameters, of which those without a value are left out.
func (w *webCall) pageURL(page, path string, parameters ...string) string {
	var out strings.Builder
	out.WriteString(w.home)
	if page != "" {
		out.WriteString("/" + page)
	}
	if path != "" {
		for part := range strings.SplitSeq(path, "/") {
			out.WriteString("/" + escapeSegment(part))
		}
	}
	sign := "?"
	for i := 0; i+1 < len(parameters); i += 2 {
		if parameters[i+1] == "" {
			continue
		}
		out.WriteString(sign + parameters[i] + "=" + escapeSegment(parameters[i+1]))
		sign = "&"
	}
	return out.String()
}

// escapeFragment encodes a path as encodeURI does for a fragment: the signs that separate the
// parts of an address stand raw.
func escapeFragment(path string) string {
	var out strings.Builder
	for i := range len(path) {
		if c := path[i]; c < 0x80 && strings.IndexByte(";,/?:@&=+$#-_.!~*'()", c) >= 0 {
			out.WriteByte(c)
		} else {
			out.WriteString(escapeSegment(path[i : i+1]))
		}
	}
	return out.String()
}
