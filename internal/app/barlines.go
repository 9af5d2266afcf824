package app

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The lines of the display on a terminal, as functions of what they show and of the terminal's width.
// They have no color, and no line is wider than the terminal.

const spinner = `|/-\`

// listingLine tells how many repositories a connection's listing has found so far.
func listingLine(width int, connection string, found int, tick int) string {
	return fit(fmt.Sprintf("%c listing %s: %s found", spinner[tick%len(spinner)], connection, thousands(int64(found))), width)
}

// repositoryLine shows one fetch: "demo:PRJ/app  receiving    [=====>     ]  42%  1.20 MiB | 2.40 MiB/s".
// said is what the server said last when that was no progress.
func repositoryLine(width int, repository string, p gitProgress, said string, tick int) string {
	nameWidth := min(max(width/3, 12), 48)
	line := fmt.Sprintf("%-*s ", nameWidth, keepEnd(repository, nameWidth))
	switch {
	case p.phase == "" && said == "":
		return fit(line+string(spinner[tick%len(spinner)]), width)
	case p.phase == "":
		return fit(line+said, width)
	case p.percent < 0 && p.count == "":
		return fit(fmt.Sprintf("%s%-11s %c", line, p.phase, spinner[tick%len(spinner)]), width)
	case p.percent < 0:
		return fit(fmt.Sprintf("%s%-11s %c %s objects", line, p.phase, spinner[tick%len(spinner)], thousandsOf(p.count)), width)
	}
	line += fmt.Sprintf("%-11s ", p.phase)
	if room := width - utf8.RuneCountInString(line) - len("[] 100%  1023.99 KiB | 1023.99 KiB/s"); room >= 8 {
		line += bar(min(room, 24), p.percent) + " "
	}
	line += fmt.Sprintf("%3d%%", p.percent)
	if p.rate != "" {
		line += "  " + p.rate
	}
	return fit(line, width)
}

// totals is how far a pass is.
type totals struct {
	of       int // repositories
	done     int
	failed   int   // of those that are done
	received int64 // bytes
	elapsed  time.Duration
}

// totalLine shows all: "mirrors [=====>     ] 3 of 7, 1 failed, 12.3 MiB received, 2m10s left".
func totalLine(width int, t totals) string {
	text := fmt.Sprintf("%s of %s", thousands(int64(t.done)), thousands(int64(t.of)))
	if t.failed > 0 {
		text += fmt.Sprintf(", %s failed", thousands(int64(t.failed)))
	}
	if t.received > 0 {
		text += ", " + bytesInWords(t.received) + " received"
	}
	if left, ok := t.left(); ok {
		text += ", about " + left.String() + " left"
	}
	line := "mirrors "
	if room := width - len(line) - len(text) - len("[]  "); room >= 8 {
		percent := 100
		if t.of > 0 {
			percent = t.done * 100 / t.of
		}
		line += bar(min(room, 40), percent) + " "
	}
	return fit(line+text, width)
}

// left estimates how long the rest takes if it goes on as before. A few repositories, or seconds, tell nothing.
func (t totals) left() (time.Duration, bool) {
	if t.done < 3 || t.done >= t.of || t.elapsed < 5*time.Second {
		return 0, false
	}
	left := time.Duration(float64(t.elapsed) / float64(t.done) * float64(t.of-t.done))
	if left > time.Hour {
		return left.Round(time.Minute), true
	}
	return max(left.Round(time.Second), time.Second), true
}

// bar draws a bar whose inside is width characters wide.
func bar(width, percent int) string {
	full := width * percent / 100
	inside := strings.Repeat("=", full)
	if full < width {
		inside += ">" + strings.Repeat(" ", width-full-1)
	}
	return "[" + inside + "]"
}

// keepEnd cuts the beginning of a name that is longer than width: its end tells more.
func keepEnd(name string, width int) string {
	runes := []rune(narrow(name))
	if len(runes) <= width {
		return string(runes)
	}
	return "…" + string(runes[len(runes)-max(width-1, 0):])
}

// fit makes a text one line that fits, the last column left free: some terminals wrap there.
func fit(text string, width int) string {
	runes := []rune(narrow(text))
	if most := max(width-1, 0); len(runes) > most {
		runes = runes[:most]
		if most > 0 {
			runes[most-1] = '…'
		}
	}
	return strings.TrimRight(string(runes), " ")
}

// narrow replaces what is not one column wide, and what could steer the terminal.
func narrow(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ', r >= 0x7f && r < 0xa0:
			return ' '
		case r >= 0x300 && r < 0x370, r >= 0x1100 && r < 0x2000, r >= 0x200b && r < 0x2010, r >= 0x2028 && r < 0x2030, r >= 0x2e80, r == 0xad:
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// thousands writes a number as people read it: 1,200.
func thousands(n int64) string { return thousandsOf(strconv.FormatInt(n, 10)) }

func thousandsOf(digits string) string {
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// bytesInWords writes a number of bytes as git does: 12.34 MiB.
func bytesInWords(n int64) string {
	if n < 1<<10 {
		if n == 1 {
			return "1 byte"
		}
		return fmt.Sprintf("%d bytes", n)
	}
	size, unit := float64(n)/(1<<10), 0
	for size >= 1023.995 && unit < 3 { // would be written as 1024.00
		size /= 1 << 10
		unit++
	}
	return fmt.Sprintf("%.2f %ciB", size, "KMGT"[unit])
}
