package bitbucket

import (
	"cmp"
	"fmt"
)

// Version is the version of a Bitbucket. The zero Version is unknown.
type Version struct{ Major, Minor, Patch int }

// maxVersionNumber bounds each number of a version. Build numbers of Bitbucket have seven
// digits; what is longer is no version.
const maxVersionNumber = 99_999_999

// ParseVersion reads the numeric dotted prefix of what application-properties says: three
// numbers at most, absent ones count as 0, and what follows them ("-rc1", a fourth number)
// means nothing.
func ParseVersion(s string) (Version, error) {
	var numbers [3]int
	rest := s
	for i := range numbers {
		n, digits := 0, 0
		for digits < len(rest) && isDigit(rest[digits]) {
			n = n*10 + int(rest[digits]-'0')
			if n > maxVersionNumber {
				return Version{}, fmt.Errorf("bitbucket: version %.40q has a number that is too large", s)
			}
			digits++
		}
		if digits == 0 {
			if i == 0 {
				return Version{}, fmt.Errorf("bitbucket: version %.40q does not begin with a number", s)
			}
			break
		}
		numbers[i] = n
		rest = rest[digits:]
		if rest == "" || rest[0] != '.' {
			break
		}
		rest = rest[1:]
	}
	return Version{Major: numbers[0], Minor: numbers[1], Patch: numbers[2]}, nil
}

// AtLeast tells whether v is major.minor or newer. The unknown version is older than all.
func (v Version) AtLeast(major, minor int) bool {
	return cmp.Or(cmp.Compare(v.Major, major), cmp.Compare(v.Minor, minor)) >= 0
}

// String returns the version as 7.21.0, and "unknown" for the zero Version.
func (v Version) String() string {
	if v == (Version{}) {
		return "unknown"
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}
