package app

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// screen shows lines at the end of a terminal that change in their place. What else is written to
// the terminal meanwhile goes through Write, and appears above them. Safe for concurrent use.
type screen struct {
	out  io.Writer
	size func() (width, height int) // asked each time: people resize their windows

	mu    sync.Mutex
	shown []string // below what was written, the cursor in the line after them
	ended bool
}

// newScreen returns the screen of a terminal.
func newScreen(terminal *os.File) *screen {
	return &screen{out: terminal, size: func() (width, height int) {
		width, height, err := term.GetSize(int(terminal.Fd()))
		if err != nil || width <= 0 || height <= 0 {
			return 80, 24
		}
		return width, height
	}}
}

// show replaces the lines by those that draw gives for the terminal's size; no more than fit. They
// are the last ones then: what scrolls out of a terminal can never be taken back.
func (s *screen) show(draw func(width, height int) []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	width, height := s.size()
	lines := draw(width, height)
	if most := max(height-1, 1); len(lines) > most {
		lines = lines[len(lines)-most:]
	}
	var b bytes.Buffer
	s.erase(&b, width)
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	s.shown = lines
	_, _ = s.out.Write(b.Bytes()) // the report at the end fails where this does
}

// Write implements io.Writer, for texts of whole lines.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	width, _ := s.size()
	s.erase(&b, width)
	b.Write(p)
	for _, line := range s.shown {
		b.WriteString(line + "\n")
	}
	_, err := s.out.Write(b.Bytes())
	return len(p), err
}

// end takes the lines away. Nothing is shown after it.
func (s *screen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	width, _ := s.size()
	s.erase(&b, width)
	s.shown, s.ended = nil, true
	_, _ = s.out.Write(b.Bytes())
}

// erase takes what is shown away, and leaves the cursor in its place. A terminal that was made
// narrower since has wrapped the lines.
func (s *screen) erase(b *bytes.Buffer, width int) {
	rows := 0
	for _, line := range s.shown {
		rows += 1 + max(len([]rune(line))-1, 0)/width
	}
	if rows > 0 {
		_, _ = fmt.Fprintf(b, "\r\x1b[%dA\x1b[J", rows)
	}
}

// canShow tells whether lines can change in their place on out: it is a terminal that is not
// a dumb one, and nobody asked for plain output.
func canShow(out io.Writer, getenv func(string) string) bool {
	return isTerminal(out) && getenv("NO_COLOR") == "" && !strings.EqualFold(getenv("TERM"), "dumb")
}
