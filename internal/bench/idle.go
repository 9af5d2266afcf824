package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/store"
	"example.com/signpost/syncer"
)

const (
	idleMirrors = 10_000
	// idleTime is how long an idle server is watched after it has listed everything.
	idleTime = 30 * time.Second
	// listTime bounds the wait for that listing.
	listTime = 2 * time.Minute
	idleAim  = 150 << 20
)

// compareIdle says how much memory a server takes that has 10,000 mirrors and nothing to do but list them.
func compareIdle(ctx context.Context, b *bench) (_ []row, err error) {
	host := newPageServer(0, idleMirrors)
	defer host.Close()
	data := filepath.Join(b.tmp, "idle")
	if err := b.idleData(ctx, data); err != nil {
		return nil, err
	}
	config := filepath.Join(b.tmp, "idle.jsonc")
	text := fmt.Sprintf(`{"primaryURL": "https://sourcegraph.example.com", "bitbucketServer": [{"name": %q, "url": %q, "token": "not-checked"}]}`,
		connection, host.URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s, err := b.startServer(ctx, config, data)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.waitForListing(ctx); err != nil {
		return nil, err
	}
	var highest, last float64
	for until := time.Now().Add(idleTime); time.Now().Before(until); time.Sleep(time.Second) {
		last = groupMemory(s.command.Process.Pid).all
		highest = max(highest, last)
	}
	return []row{{
		what: fmt.Sprintf("memory of an idle server with %d mirrors", idleMirrors), against: "-",
		measured: fmt.Sprintf("%.0f MiB, at most %.0f MiB in %s", last/(1<<20), highest/(1<<20), idleTime),
		aim:      absolute("≤ 150 MiB", last <= idleAim),
	}}, nil
}

// waitForListing waits until the server has listed its connection.
func (s *server) waitForListing(ctx context.Context) error {
	for until := time.Now().Add(listTime); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		metrics, err := s.get(ctx, "/metrics")
		if err != nil {
			return err
		}
		if bytes.Contains(metrics, []byte(`signpost_listings_total{connection="bitbucket",result="complete"} `)) {
			return nil
		}
	}
	return fmt.Errorf("the server did not list its connection: %s", s.said)
}

// idleData makes a data folder whose mirrors are all fresh.
func (b *bench) idleData(ctx context.Context, data string) error {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(data, "secret.key"), []byte(hex.EncodeToString(storeKey[:])), 0o600); err != nil {
		return err
	}
	database := filepath.Join(data, "signpost.db")
	if err := populate(ctx, database, idleMirrors); err != nil {
		return err
	}
	template := filepath.Join(b.tmp, "idle-template.git")
	if err := (gitProgram{home: b.tmp}).makeSources(ctx, template, 20); err != nil {
		return err
	}
	for i := range idleMirrors {
		dir := filepath.Join(data, "mirrors", connection, strconv.Itoa(firstRepository+i)+".git")
		if err := copyRepository(template, dir); err != nil {
			return err
		}
		for _, file := range []string{"HEAD", "config"} {
			if err := os.Link(filepath.Join(template, file), filepath.Join(dir, file)); err != nil {
				return err
			}
		}
	}
	return freshMirrors(ctx, database)
}

// freshMirrors stores that every mirror was fetched just now and has not changed for a day.
func freshMirrors(ctx context.Context, database string) (err error) {
	s, err := store.Open(ctx, store.Options{Path: database, Key: storeKey})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	now := time.Now()
	for i := range idleMirrors {
		err := s.SaveMirror(ctx, bitbucket.RepoID{Connection: connection, Number: int64(firstRepository + i)}, syncer.MirrorStatus{
			LastFetch: now, LastChange: now.Add(-24 * time.Hour), NextFetch: now.Add(8 * time.Hour), DefaultBranch: "main", SizeBytes: 1 << 20,
		})
		if err != nil {
			return err
		}
	}
	return nil
}
