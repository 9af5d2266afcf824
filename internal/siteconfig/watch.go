package siteconfig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// Watch looks at the file every WatchInterval and publishes it when it has changed. A file
// is used when two looks in a row find the same content: one that is being written, and so
// is empty or cut off for a moment, is left to settle. A file that has errors, that is gone,
// or that holds no value any more, as after a command that failed or on a full disk, leaves
// the running configuration in place; all that is wrong is logged, once.
// Changes of the files that "file:" secrets name are not noticed before the configuration
// itself changes.
//
// Watch runs until ctx is done and returns nil then. Without a file it only waits.
func (p *Publisher) Watch(ctx context.Context) error {
	if p.Current() == nil {
		return errors.New("siteconfig: Watch comes after Load")
	}
	if !p.ReadOnly() {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(p.o.WatchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			p.look(ctx)
		}
	}
}

// watchedFile is what is known of the file.
type watchedFile struct {
	judged  string // the content that was published or refused last
	pending string // a new content that one look has found
	waiting bool   // there is a pending content
	trouble string // what kept the file from being used, logged already
}

// seen notes the content as judged.
func (f *watchedFile) seen(text string) { *f = watchedFile{judged: text} }

// look reads the file once.
func (p *Publisher) look(ctx context.Context) {
	if p.lock(ctx) != nil {
		return // the program ends
	}
	defer p.unlock()
	running := p.current.Load()
	stored, err := p.readAgain(running.stored.Version + 1)
	if err != nil {
		p.trouble(ctx, "site configuration not readable, the running one stays", err)
		return
	}
	switch {
	case stored.Text == p.file.judged:
		p.file.seen(stored.Text)
		return
	case !p.file.waiting || stored.Text != p.file.pending:
		p.file.pending, p.file.waiting = stored.Text, true
		return
	}
	if !holdsValue(stored.Text) && holdsValue(running.stored.Text) {
		p.trouble(ctx, "site configuration not usable, the running one stays", errEmptied)
		return
	}
	if stored.Text == running.stored.Text {
		// A broken file was put back as it was: what runs is what it says.
		p.file.seen(stored.Text)
		_, said := Check(stored.Text, p.o.Check)
		p.said.Store(&said)
		return
	}
	if err := p.use(ctx, stored); err != nil {
		if errors.Is(err, ErrInvalid) {
			p.file.seen(stored.Text)
		}
		// What a subscriber cannot take now it may take later: the next look tries again.
		p.trouble(ctx, "site configuration not usable, the running one stays", err)
		return
	}
	p.file.seen(stored.Text)
	p.o.Logger.InfoContext(ctx, "site configuration read again", "file", p.o.File, "version", stored.Version)
	p.LogWarnings(ctx)
}

// trouble logs an error, unless it was the last to be logged.
func (p *Publisher) trouble(ctx context.Context, message string, err error) {
	if p.file.trouble == err.Error() {
		return
	}
	p.file.trouble = err.Error()
	p.o.Logger.ErrorContext(ctx, message, "file", p.o.File, "err", err) //nolint:sloglint // one of the two messages above
}

// What a file may be at the start, and not later on.
var (
	errEmptied = errors.New("the file is empty: write the configuration into it, or {} to have none")
	errNoFile  = errors.New("is not a plain file, and so cannot be read again: put one in its place, or restart to use it")
)

// holdsValue tells whether a text holds more than comments and white space. Behind a comment
// that does not end there may be anything.
func holdsValue(text string) bool {
	_, rest := cutMark(text)
	return slices.ContainsFunc(scan(rest), func(t token) bool { return t.kind != tokenComment || !t.closed })
}

// readAgain is readFile for a file that was read before. It does not open a pipe: nobody may
// be writing to it, and what it held is gone.
func (p *Publisher) readAgain(version int64) (StoredVersion, error) {
	info, err := os.Stat(p.o.File)
	if err != nil {
		return StoredVersion{}, err
	}
	if !info.Mode().IsRegular() && !info.IsDir() {
		return StoredVersion{}, fmt.Errorf("%s %w", p.o.File, errNoFile)
	}
	return p.readFile(version)
}

// readFile reads the file as the given version.
func (p *Publisher) readFile(version int64) (StoredVersion, error) {
	file, err := os.Open(p.o.File)
	if err != nil {
		return StoredVersion{}, err
	}
	defer func() { _ = file.Close() }() // read only: nothing can be lost
	info, err := file.Stat()
	if err != nil {
		return StoredVersion{}, err
	}
	if info.IsDir() {
		return StoredVersion{}, fmt.Errorf("%s is a folder: give the path of a file", p.o.File)
	}
	text, err := io.ReadAll(io.LimitReader(file, MaxTextBytes+1))
	if err != nil {
		return StoredVersion{}, err
	}
	return StoredVersion{
		Version: version, Text: string(text), Author: "file " + p.o.File, Created: info.ModTime(),
	}, nil
}
