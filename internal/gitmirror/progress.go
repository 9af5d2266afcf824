package gitmirror

import "bytes"

// maxProgressLine bounds what is kept of a line that does not end.
const maxProgressLine = 1 << 10

// progressWriter hands the lines that a git server sends for people to a function.
// A line ends with a line feed or, when the next one overwrites it, a carriage return.
type progressWriter struct {
	report func(text string)
	line   []byte
}

func (w *progressWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexAny(p, "\r\n")
		if end < 0 {
			w.add(p)
			break
		}
		w.add(p[:end])
		w.flush()
		p = p[end+1:]
	}
	return n, nil
}

func (w *progressWriter) add(p []byte) {
	w.line = append(w.line, p[:min(len(p), maxProgressLine-len(w.line))]...)
}

// flush reports the line that was begun.
func (w *progressWriter) flush() {
	if text := printable(string(w.line), maxProgressLine); text != "" {
		w.report(text)
	}
	w.line = w.line[:0]
}
