// Package screentest has a terminal for tests: it shows what a person would see of what a program
// wrote, after all movements of the cursor.
package screentest

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Terminal is a terminal of a width, with all that ever scrolled out of its top. It knows what
// this project writes: text, CR, LF, cursor up, and erase to the end; what else a program sends it is kept in
// Unknown. Safe for concurrent use.
type Terminal struct {
	width, height int

	mu      sync.Mutex
	rows    [][]rune
	x, y    int
	pending []byte // a sequence that has not ended yet
	unknown []string
}

// New returns an empty terminal.
func New(width, height int) *Terminal {
	return &Terminal{width: width, height: height, rows: [][]rune{nil}}
}

var sequence = regexp.MustCompile(`^\x1b\[([0-9;?]*)([A-Za-z])`)

// Write implements io.Writer.
func (t *Terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := append(t.pending, p...)
	t.pending = nil
	for len(text) > 0 {
		if text[0] == 0x1b {
			m := sequence.FindSubmatch(text)
			if m == nil {
				if len(text) < 16 {
					t.pending = append([]byte(nil), text...)
					return len(p), nil
				}
				t.unknown = append(t.unknown, string(text[:16]))
				text = text[1:]
				continue
			}
			t.control(string(m[1]), string(m[2]))
			text = text[len(m[0]):]
			continue
		}
		if !utf8.FullRune(text) {
			t.pending = append([]byte(nil), text...)
			return len(p), nil
		}
		r, n := utf8.DecodeRune(text)
		t.put(r)
		text = text[n:]
	}
	return len(p), nil
}

func (t *Terminal) control(arguments, command string) {
	n, err := strconv.Atoi(arguments)
	switch {
	case command == "A" && err == nil:
		t.y = max(t.y-n, t.top())
	case command == "J" && (arguments == "" || arguments == "0"):
		t.rows = t.rows[:t.y+1]
		t.rows[t.y] = t.rows[t.y][:min(t.x, len(t.rows[t.y]))]
	default:
		t.unknown = append(t.unknown, "\x1b["+arguments+command)
	}
}

// top is the first row that the cursor can reach: what is above has scrolled out.
func (t *Terminal) top() int { return max(len(t.rows)-t.height, 0) }

func (t *Terminal) put(r rune) {
	switch r {
	case '\r':
		t.x = 0
		return
	case '\n':
		t.x = 0 // a terminal driver sends CR LF for LF
		t.down()
		return
	}
	if t.x == t.width {
		t.x = 0
		t.down()
	}
	row := t.rows[t.y]
	for len(row) <= t.x {
		row = append(row, ' ')
	}
	row[t.x] = r
	t.rows[t.y] = row
	t.x++
}

func (t *Terminal) down() {
	t.y++
	if t.y == len(t.rows) {
		t.rows = append(t.rows, nil)
	}
}

// Text returns all rows from the first to the last one that is not empty, without spaces at their ends.
func (t *Terminal) Text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := make([]string, len(t.rows))
	for i, row := range t.rows {
		lines[i] = strings.TrimRight(string(row), " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// Unknown returns the sequences that the terminal does not know.
func (t *Terminal) Unknown() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.unknown...)
}
