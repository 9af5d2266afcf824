package gitmirror

import (
	"context"
	"fmt"
	"sync"

	"example.com/signpost/internal/siteconfig"
)

// Settings are what the site configuration says of the mirrors.
type Settings struct {
	// Engine is what writes the objects that come: siteconfig.EngineAuto (also ""), EngineGoGit or EngineGit.
	Engine string
	// MinFreePercent is how much of the disk must be free for a new clone to begin; 0 for no floor.
	MinFreePercent int
	// MemoryBudget is how many bytes the process should stay within; 0 for no bound.
	MemoryBudget int64
}

// Configure makes the settings those of every fetch that begins from now on. The first of these looks for the
// git program anew. Safe for concurrent use.
func (m *Mirrors) Configure(s Settings) {
	find := sync.OnceValues(func() (*gitProgram, error) {
		if s.Engine == siteconfig.EngineGoGit {
			return nil, nil
		}
		program, err := findGit(context.Background(), m.root)
		if err != nil {
			m.log.Info("the git program is not used", "reason", err)
			return nil, err
		}
		m.log.Info("the git program is used", "path", program.path, "version", program.version)
		return program, nil
	})
	m.identities.forget()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settings, m.findProgram = s, find
	m.memory.setLimit(indexingShare(s.MemoryBudget))
}

// current returns the settings in effect, and the git program that they mean: nil for none, and then, unless they
// name the other engine, an error that says why.
func (m *Mirrors) current() (Settings, *gitProgram, error) {
	m.mu.Lock()
	settings, find := m.settings, m.findProgram
	m.mu.Unlock()
	program, err := find() // not under the lock: a process is started
	return settings, program, err
}

// engine returns what writes the objects of a fetch that begins now.
func (m *Mirrors) engine() (engine, error) {
	settings, program, err := m.current()
	switch {
	case program != nil:
		return gitEngine{program, &m.memory}, nil
	case settings.Engine == siteconfig.EngineGit:
		return nil, fmt.Errorf(`gitEngine is "git": install git, or set gitEngine to "auto" or "go-git": %w`, err)
	default:
		return goGitEngine{&m.memory}, nil
	}
}
