package siteconfig

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"
)

// What can be wrong with a Put, beside ErrConflict.
var (
	// ErrInvalid means that the text has errors; the Problems beside it say which.
	ErrInvalid = errors.New("the site configuration has errors")
	// ErrReadOnly means that the configuration comes from a file.
	ErrReadOnly = errors.New("the site configuration comes from a file: change the file")
)

// PublisherOptions says where a Publisher has its texts from. One of Versions and File is
// required.
type PublisherOptions struct {
	Versions Versions
	File     string // the only source, if set; Put is refused then
	Logger   *slog.Logger
	Check    CheckOptions

	WatchInterval time.Duration // between two looks at File; 1 s if zero
	ApplyTimeout  time.Duration // for storing a version that every subscriber agreed to; 30 s if zero
}

// Publisher holds the running configuration and tells subscribers of each new one. All
// methods are safe for concurrent use, but Subscribe comes before Load.
type Publisher struct {
	o           PublisherOptions
	subscribers []subscriber
	busy        chan struct{} // holds a token while a configuration is being changed

	current atomic.Pointer[publication]
	said    atomic.Pointer[Problems]
	file    watchedFile // guarded by busy
}

// publication is a configuration with the text that it was read from.
type publication struct {
	config *Config
	stored StoredVersion
}

type subscriber struct {
	name    string
	prepare func(ctx context.Context, next *Config) (apply func(), err error)
}

// NewPublisher returns a Publisher that has nothing until Load.
func NewPublisher(o PublisherOptions) (*Publisher, error) {
	if (o.Versions == nil) == (o.File == "") {
		return nil, errors.New("siteconfig: PublisherOptions needs one of Versions and File")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.WatchInterval <= 0 {
		o.WatchInterval = time.Second
	}
	if o.ApplyTimeout <= 0 {
		o.ApplyTimeout = 30 * time.Second
	}
	return &Publisher{o: o, busy: make(chan struct{}, 1)}, nil
}

// ReadOnly tells that the configuration comes from a file, so that Put is refused.
func (p *Publisher) ReadOnly() bool { return p.o.File != "" }

// Current returns the running configuration; never nil after Load. It does not change.
func (p *Publisher) Current() *Config {
	if running := p.current.Load(); running != nil {
		return running.config
	}
	return nil
}

// Problems returns what was wrong with the newest text: warnings of the running
// configuration, or the errors for which a changed file did not take its place.
func (p *Publisher) Problems() Problems {
	if said := p.said.Load(); said != nil {
		return slices.Clone(*said)
	}
	return nil
}

// LogWarnings logs what Problems has of the running configuration: nobody else may tell an
// administrator who starts a server with a file.
func (p *Publisher) LogWarnings(ctx context.Context) {
	for _, each := range p.Problems() {
		if each.Severity == SeverityWarning {
			p.o.Logger.WarnContext(ctx, "site configuration", "problem", each.String())
		}
	}
}

// Text returns the newest stored text, secrets in the clear; hand it out through Mask. With
// a file it is the text of the running configuration. Nothing stored is version 0 and an
// empty text.
func (p *Publisher) Text(ctx context.Context) (StoredVersion, error) {
	if p.ReadOnly() {
		if running := p.current.Load(); running != nil {
			return running.stored, nil
		}
		return StoredVersion{}, ErrNoVersion
	}
	return p.latest(ctx)
}

// Subscribe makes a configuration pass by prepare before it is used. When every subscriber
// has agreed and the text is stored, what prepare returned is called, in the order of the
// subscriptions, and Current already is the new one. apply (which may be nil) must not
// fail and not call the Publisher's Put or Load; what prepare made must need no cleaning up
// when it is not called. Both run one at a time.
func (p *Publisher) Subscribe(name string, prepare func(ctx context.Context, next *Config) (apply func(), err error)) {
	p.subscribers = append(p.subscribers, subscriber{name, prepare})
}

// Load reads the file, or the newest version, and publishes it. Where nothing is stored, an
// empty configuration of version 0 runs. The error wraps ErrInvalid and Problems when the
// text has errors, for instance because an environment variable is no longer set.
func (p *Publisher) Load(ctx context.Context) error {
	if err := p.lock(ctx); err != nil {
		return err
	}
	defer p.unlock()
	var stored StoredVersion
	var err error
	if p.ReadOnly() {
		stored, err = p.readFile(1)
	} else {
		stored, err = p.latest(ctx)
	}
	if err != nil {
		return fmt.Errorf("siteconfig: load the site configuration: %w", err)
	}
	if p.ReadOnly() {
		p.file.seen(stored.Text)
	}
	return p.use(ctx, stored)
}

// Check says what Put would say of a text, masked secrets included, and changes nothing.
func (p *Publisher) Check(ctx context.Context, text string) (Problems, error) {
	stored, err := p.Text(ctx)
	if err != nil && !errors.Is(err, ErrNoVersion) {
		return nil, err
	}
	_, _, said := p.judge(text, stored.Text)
	return said, nil
}

// Put makes a text the configuration: it puts masked secrets back, checks it, asks every
// subscriber, stores it as version expected+1, and returns after all subscribers have
// applied it. Anything that fails before it is stored leaves the running one as it was.
//
// The error is ErrInvalid when the problems hold errors, ErrConflict when the newest version
// is not the expected one (0 for none), ErrReadOnly with a file; or it wraps that of a
// subscriber or of Versions. The problems are there without an error, too: warnings.
//
// A text that is stored already makes no new version, but it is checked and applied again, so
// that environment variables and files that it refers to are read anew.
func (p *Publisher) Put(ctx context.Context, text string, expected int64, author string) (*Config, Problems, error) {
	if p.ReadOnly() {
		return nil, nil, ErrReadOnly
	}
	if err := p.lock(ctx); err != nil {
		return nil, nil, err
	}
	defer p.unlock()
	latest, err := p.latest(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("siteconfig: read the stored version: %w", err)
	}
	if latest.Version != expected {
		return nil, nil, ErrConflict
	}
	whole, next, said := p.judge(text, latest.Text)
	if next == nil {
		return nil, said, ErrInvalid
	}
	unchanged := whole == latest.Text
	next.TextDigest = sha256.Sum256([]byte(whole))
	next.Version = expected + 1
	if unchanged {
		next.Version = expected
	}
	apply, err := p.prepare(ctx, next)
	if err != nil {
		return nil, said, err
	}
	// From here on the change goes through, also when the client has gone: a version that is
	// stored and not applied would come as a surprise at the next start.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.o.ApplyTimeout)
	defer cancel()
	if !unchanged {
		if latest, err = p.o.Versions.AppendVersion(ctx, expected, whole, author); err != nil {
			if errors.Is(err, ErrConflict) {
				return nil, said, ErrConflict
			}
			return nil, said, fmt.Errorf("siteconfig: store the new version: %w", err)
		}
	}
	p.publish(publication{config: next, stored: latest}, said, apply)
	p.o.Logger.InfoContext(ctx, "site configuration changed", "version", next.Version, "author", author, "connections", len(next.Connections))
	return next, said, nil
}

// judge puts the masked secrets of a text back and checks it. The config is nil when it has
// errors. The problems have their places in the text as it was given.
func (p *Publisher) judge(text, stored string) (whole string, config *Config, said Problems) {
	u := unmask(text, stored)
	mark, rest := cutMark(u.text)
	config, found := check(rest, p.o.Check)
	for i := range found {
		found[i].offset = u.before(found[i].offset + len(mark))
	}
	// Check asks for the secrets that are missing, too, without saying why they are.
	missing := map[int]bool{}
	for _, f := range u.missing {
		missing[f.offset] = true
	}
	found = slices.DeleteFunc(found, func(f finding) bool { return missing[f.offset] && f.severity == SeverityError })
	if len(u.missing) > 0 {
		config = nil
	}
	return u.text, config, problems(text, append(found, u.missing...))
}

// use publishes a stored text. The caller holds the lock.
func (p *Publisher) use(ctx context.Context, stored StoredVersion) error {
	config, said := Check(stored.Text, p.o.Check)
	if config == nil {
		p.said.Store(&said)
		return fmt.Errorf("siteconfig: %w:\n%w", ErrInvalid, said)
	}
	config.Version, config.TextDigest = stored.Version, sha256.Sum256([]byte(stored.Text))
	apply, err := p.prepare(ctx, config)
	if err != nil {
		return err
	}
	p.publish(publication{config: config, stored: stored}, said, apply)
	return nil
}

// prepare asks every subscriber, and returns what applies the configuration to all.
func (p *Publisher) prepare(ctx context.Context, next *Config) (apply []func(), err error) {
	for _, s := range p.subscribers {
		f, err := s.prepare(ctx, next)
		if err != nil {
			return nil, fmt.Errorf("siteconfig: %s cannot take the configuration: %w", s.name, err)
		}
		if f != nil {
			apply = append(apply, f)
		}
	}
	return apply, nil
}

func (p *Publisher) publish(next publication, said Problems, apply []func()) {
	p.said.Store(&said)
	p.current.Store(&next)
	for _, f := range apply {
		f()
	}
}

// latest returns the newest stored version, or version 0.
func (p *Publisher) latest(ctx context.Context) (StoredVersion, error) {
	stored, err := p.o.Versions.LatestVersion(ctx)
	if errors.Is(err, ErrNoVersion) {
		return StoredVersion{}, nil
	}
	return stored, err
}

// lock waits until nobody else changes the configuration.
func (p *Publisher) lock(ctx context.Context) error {
	select {
	case p.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("siteconfig: wait for another change of the configuration: %w", ctx.Err())
	}
}

func (p *Publisher) unlock() { <-p.busy }
