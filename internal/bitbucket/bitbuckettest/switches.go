package bitbuckettest

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// version is a Bitbucket version. The double reads versions by itself: a mistake in the
// client's reading must not be able to hide behind the same mistake here.
type version struct{ major, minor, patch int }

// ErrVersion means that the double cannot behave like the version that it was told.
var ErrVersion = errors.New("the double cannot be version")

func parseVersion(s string) (version, error) {
	var numbers [3]int
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return version{}, fmt.Errorf("%w %q: want major.minor or major.minor.patch", ErrVersion, s)
	}
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || n > 999 {
			return version{}, fmt.Errorf("%w %q: %q is no number", ErrVersion, s, part)
		}
		numbers[i] = n
	}
	v := version{numbers[0], numbers[1], numbers[2]}
	if v.major < 4 {
		return version{}, fmt.Errorf("%w %q: the oldest is 4.0", ErrVersion, s)
	}
	return v, nil
}

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v.major, v.minor, v.patch) }

// buildNumber is major·10⁶+minor·10³+patch, as recorded from 4.6 to 8.7.
func (v version) buildNumber() string {
	return strconv.Itoa(v.major*1_000_000 + v.minor*1_000 + v.patch)
}

func (v version) atLeast(major, minor, patch int) bool {
	return cmp.Or(cmp.Compare(v.major, major), cmp.Compare(v.minor, minor), cmp.Compare(v.patch, patch)) >= 0
}

// switches says what a version does. Versions that are not documented are the ones that
// dated recordings suggest.
type switches struct {
	userInCloneLinks    bool // http clone links carry the caller's name: recorded 4.8 to 5.12, gone by 6.2
	supportNumber       bool // X-ASEN, recorded until early 2020
	lowerCaseVary       bool
	aliases             bool // 5.0: moved repositories keep their old address (BSERV-9731)
	tokens              bool // 5.5: access tokens of users, Bearer
	webhooks            bool // 5.4: of repositories; before it, those of plugins
	stateFilter         bool // 5.13: repos?state=
	labels              bool // 5.13
	protocolV2          bool // 5.13: git protocol version 2
	rateLimit           bool // 6.6
	hierarchyID         bool // 7.0
	lazyPullRefs        bool // 7.0: refs/pull-requests are written when somebody looks (BSERV-12284)
	closedDate          bool // of pull requests: recorded of 6.x, not of 4.8; 5.0 is taken
	pullProperties      bool // properties in lists of pull requests: recorded of 7.x, not of 5.12
	restRaw             bool // documented in 9.4; 7.0 is taken
	defaultBranch       bool // 7.5 is taken
	linksInDeliveries   bool // by 6.3; 6.0 is taken
	fromRefUpdated      bool // 7.0: pr:from_ref_updated
	commitsInDeliveries bool // recorded of 8.x; 8.14 is taken
	projectWebhooks     bool // about 8.0
	partialClone        bool // 7.13 (BSERV-11639)
	projectTokens       bool // between 7.8 and 7.21; 7.18 is taken
	archived            bool // 8.0: the key, the filter, and projectkey=
	draft               bool // 8.18
	tokensOnlyForAPI    bool // 8.9.22, 8.19.12, 9.3.2: tokens count below /rest and /scm only
}

func switchesOf(v version) switches {
	from := func(major, minor int) bool { return v.atLeast(major, minor, 0) }
	return switches{
		userInCloneLinks:    !from(6, 0),
		supportNumber:       !from(7, 0),
		lowerCaseVary:       from(7, 0),
		aliases:             from(5, 0),
		tokens:              from(5, 5),
		webhooks:            from(5, 4),
		stateFilter:         from(5, 13),
		labels:              from(5, 13),
		protocolV2:          from(5, 13),
		rateLimit:           from(6, 6),
		hierarchyID:         from(7, 0),
		lazyPullRefs:        from(7, 0),
		closedDate:          from(5, 0),
		pullProperties:      from(7, 0),
		restRaw:             from(7, 0),
		defaultBranch:       from(7, 5),
		linksInDeliveries:   from(6, 0),
		fromRefUpdated:      from(7, 0),
		commitsInDeliveries: from(8, 14),
		projectWebhooks:     from(8, 0),
		partialClone:        from(7, 13),
		projectTokens:       from(7, 18),
		archived:            from(8, 0),
		draft:               from(8, 18),
		tokensOnlyForAPI: v.atLeast(9, 3, 2) ||
			v.atLeast(8, 19, 12) && !from(9, 0) ||
			v.atLeast(8, 9, 22) && !from(8, 10),
	}
}
