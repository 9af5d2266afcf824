package siteconfig

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// The text around an entry. The entry begins on a line of its own, so that its places are right.
const (
	beforeEntry = "{\"bitbucketServer\": [\n"
	afterEntry  = "\n]}"
)

// CheckEntry reads the text of one entry of bitbucketServer as Put would read it, masked secrets
// included, and changes nothing. The Connection is nil exactly when a problem is an error. The lines of
// the problems are those of the entry.
func (p *Publisher) CheckEntry(ctx context.Context, entry string) (*Connection, Problems, error) {
	stored, err := p.Text(ctx)
	if err != nil && !errors.Is(err, ErrNoVersion) {
		return nil, nil, err
	}
	_, config, said := p.judge(beforeEntry+entry+afterEntry, stored.Text)
	said = slices.DeleteFunc(said, func(p Problem) bool { // what the text around it lacks is nobody's problem
		return p.Severity == SeverityWarning && !strings.HasPrefix(p.Key, "bitbucketServer[")
	})
	for i := range said {
		said[i].Line = max(1, said[i].Line-1)
	}
	if config == nil || len(config.Connections) != 1 {
		return nil, said, nil
	}
	return &config.Connections[0], said, nil
}
