package syncer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/sourcegraph"
)

// maxCollisions bounds how many a status names.
const maxCollisions = 10

// collisions remembers the sentences about repositories that share their Sourcegraph name with
// another one, so that an unchanged index is read once, however many connections ask. Safe
// for concurrent use.
type collisions struct {
	mu        sync.Mutex
	known     bool
	sentences map[string][]string // by connection
	forgotten int                 // how often
}

// forget is called when the index or a pattern changed: a repository of any connection can have
// taken, or given up, the name of another connection's.
func (c *collisions) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = false
	c.forgotten++
}

// remember keeps what was found in an index that was read after so many times of forgetting.
// One that has changed since may say something else.
func (c *collisions) remember(sentences map[string][]string, forgotten int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forgotten == forgotten {
		c.known, c.sentences = true, sentences
	}
}

func (c *collisions) remembered() (sentences map[string][]string, known bool, forgotten int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sentences, c.known, c.forgotten
}

// collisionsOf returns a sentence for each pair of repositories with one name on Sourcegraph that
// a connection has a part in.
func (s *Syncer) collisionsOf(ctx context.Context, connection string) ([]string, error) {
	sentences, known, forgotten := s.names.remembered()
	if !known {
		var err error
		if sentences, err = s.findCollisions(ctx); err != nil {
			return nil, err
		}
		s.names.remember(sentences, forgotten)
	}
	return sentences[connection], nil
}

// findCollisions reads the index for selected repositories, of any connections, whose
// repositoryPathPattern gives them one name on Sourcegraph, where names compare without case: a
// link to one of them would open the other. It returns a sentence for each pair to the connections
// that have a part in it.
func (s *Syncer) findCollisions(ctx context.Context) (map[string][]string, error) {
	type owner struct {
		id      bitbucket.RepoID
		address bitbucket.Address
		name    sourcegraph.RepoName
	}
	owners := make(map[string]owner)
	sentences, more := make(map[string][]string), make(map[string]int)
	err := s.opts.Records.EachRecord(ctx, "", func(r Record) error {
		of := s.connection(r.ID.Connection)
		if of == nil || !r.Selected {
			return nil
		}
		name := of.Pattern.RepoName(of.BaseURL().HostName(), r.Key, r.Slug)
		key := strings.ToLower(string(name))
		first, taken := owners[key]
		if !taken {
			owners[key] = owner{r.ID, r.Address, name}
			return nil
		}
		for _, connection := range slices.Compact([]string{first.id.Connection, r.ID.Connection}) {
			if len(sentences[connection]) == maxCollisions {
				more[connection]++
				continue
			}
			sentences[connection] = append(sentences[connection], fmt.Sprintf(
				"%s of %s (id %d) and %s of %s (id %d) have the same name on Sourcegraph, %s; change repositoryPathPattern or exclude one of them",
				first.address, first.id.Connection, first.id.Number, r.Address, r.ID.Connection, r.ID.Number, first.name))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for repositories with one name: %w", err)
	}
	for connection, n := range more {
		sentences[connection] = append(sentences[connection], fmt.Sprintf("%d more repositories share their name on Sourcegraph", n))
	}
	return sentences, nil
}
