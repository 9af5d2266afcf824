package syncer

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/sourcegraph"
)

// maxCollisions bounds how many a status names.
const maxCollisions = 10

// collisions remembers the sentences about repositories of a connection that share their
// Sourcegraph name with another one, so that an unchanged index is not read again. Safe
// for concurrent use.
type collisions struct {
	mu        sync.Mutex
	known     bool
	sentences []string
	forgotten int // how often
}

func (c *collisions) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = false
	c.forgotten++
}

// remember keeps what was found in an index that was read after so many times of forgetting.
// One that has changed since may say something else.
func (c *collisions) remember(sentences []string, forgotten int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forgotten == forgotten {
		c.known, c.sentences = true, sentences
	}
}

func (c *collisions) remembered() (sentences []string, known bool, forgotten int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sentences, c.known, c.forgotten
}

// forgetCollisions is called when the index changed: a repository of any connection can have
// taken, or given up, the name of another connection's.
func (s *Syncer) forgetCollisions() {
	_, conns := s.current()
	for _, conn := range conns {
		conn.collisions.forget()
	}
}

// findCollisions reads the index for selected repositories, of any connections, whose
// repositoryPathPattern gives them one name on Sourcegraph, where names compare without case: a
// link to one of them would open the other. It returns a sentence for each pair that conn has a part in.
func (s *Syncer) findCollisions(ctx context.Context, conn *connection) ([]string, error) {
	sentences, known, forgotten := conn.collisions.remembered()
	if known {
		return sentences, nil
	}
	sentences = nil
	type owner struct {
		id      bitbucket.RepoID
		address bitbucket.Address
		name    sourcegraph.RepoName
	}
	owners := make(map[string]owner)
	more := 0
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
		if first.id.Connection != conn.Name && r.ID.Connection != conn.Name {
			return nil
		}
		if len(sentences) == maxCollisions {
			more++
			return nil
		}
		sentences = append(sentences, fmt.Sprintf(
			"%s of %s (id %d) and %s of %s (id %d) have the same name on Sourcegraph, %s; change repositoryPathPattern or exclude one of them",
			first.address, first.id.Connection, first.id.Number, r.Address, r.ID.Connection, r.ID.Number, first.name))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for repositories with one name: %w", err)
	}
	if more > 0 {
		sentences = append(sentences, fmt.Sprintf("%d more repositories share their name on Sourcegraph", more))
	}
	conn.collisions.remember(sentences, forgotten)
	return sentences, nil
}
