package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	deliverySecret = "secret of the deliveries"
	// quietTime passes before each push: deliveries that follow one another in less are taken together.
	quietTime = 300 * time.Millisecond
	// visibleTime bounds the wait for a push to be seen.
	visibleTime = 30 * time.Second
)

// compareDelivery compares the time from the delivery of a webhook until resolve answers with the new
// commit with one git fetch of the same repository after the same push.
func compareDelivery(ctx context.Context, b *bench) (_ []row, err error) {
	git := gitProgram{home: b.tmp}
	template := filepath.Join(b.tmp, "delivery-template.git")
	if err := git.makeSources(ctx, template, 1_000); err != nil {
		return nil, err
	}
	h, err := b.newCodeHost(ctx, "delivery", 1, func(int) string { return template })
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	config := filepath.Join(b.tmp, "delivery.jsonc")
	text := fmt.Sprintf(`{
  "primaryURL": "https://sourcegraph.example.com",
  "disableAutoGitUpdates": true,
  "minFreeDiskPercent": 0,
  "bitbucketServer": [{
    "name": "bitbucket", "url": %q, "username": %q, "password": %q, "webhooks": {"secret": %q},
  }],
}
`, h.server.URL(), hostAccount, hostPassword, deliverySecret)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s, err := b.startServer(ctx, config, filepath.Join(b.tmp, "delivery-data"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	page := h.server.BaseURL() + "/projects/" + hostProject + "/repos/" + h.slug(0) + "/browse?at=" + url.QueryEscape("refs/heads/main")
	if _, err := s.waitForCommit(ctx, page, func(commit string) bool { return commit != "" }); err != nil {
		return nil, err
	}
	mirror := filepath.Join(b.tmp, "delivery-mirror.git")
	environment := append(os.Environ(), "HOME="+b.tmp, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0="+authorization())
	run := func(ctx context.Context, args ...string) error {
		command := exec.CommandContext(ctx, "git", args...)
		command.Env = environment
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w: %s", args[0], err, out)
		}
		return nil
	}
	if err := run(ctx, "clone", "--quiet", "--mirror", h.urls[0], mirror); err != nil {
		return nil, err
	}

	turn := 0
	push := func() (commit string, err error) {
		time.Sleep(quietTime)
		turn++
		hashes, err := h.push(0, turn)
		return hashes["refs/heads/main"], err
	}
	ours := func(ctx context.Context) (time.Duration, error) {
		commit, err := push()
		if err != nil {
			return 0, err
		}
		begun := time.Now()
		if err := s.deliver(ctx, h); err != nil {
			return 0, err
		}
		seen, err := s.waitForCommit(ctx, page, func(now string) bool { return now == commit })
		return seen.Sub(begun), err
	}
	theirs := func(ctx context.Context) (time.Duration, error) {
		if _, err := push(); err != nil {
			return 0, err
		}
		return timed(func(ctx context.Context) error {
			return run(ctx, "--git-dir="+mirror, "fetch", "--quiet", "--prune")
		})(ctx)
	}
	t, err := takeTurns(ctx, b.budget, 10, ours, theirs)
	if err != nil {
		return nil, err
	}
	return []row{timeRow("delivery of a webhook until resolve shows the commit", "one git fetch of the repository", t, atMost(2))}, nil
}

// deliver tells the server of a push as Bitbucket does.
func (s *server) deliver(ctx context.Context, h *codeHost) error {
	body := fmt.Appendf(nil, `{"eventKey":"repo:refs_changed","repository":{"slug":%q,"id":1,"project":{"key":%q}},"changes":[]}`, h.slug(0), hostProject)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/api/v1/webhooks/bitbucket-server/"+connection, bytes.NewReader(body))
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(deliverySecret))
	_, _ = mac.Write(body) // never fails
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("X-Event-Key", "repo:refs_changed")
	request.Header.Set("X-Hub-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusAccepted {
		said, _ := io.ReadAll(response.Body)
		return fmt.Errorf("the delivery was answered %s: %s", response.Status, said)
	}
	return nil
}

// waitForCommit asks for the link of a page until its commit is right, and returns when that was.
func (s *server) waitForCommit(ctx context.Context, page string, right func(commit string) bool) (time.Time, error) {
	for until := time.Now().Add(visibleTime); time.Now().Before(until); time.Sleep(time.Millisecond) {
		answer, err := s.get(ctx, resolvePath(page))
		if err != nil {
			return time.Time{}, err
		}
		var link struct{ Commit string }
		if json.Unmarshal(answer, &link) == nil && right(link.Commit) {
			return time.Now(), nil
		}
	}
	return time.Time{}, fmt.Errorf("the commit of %s was not seen within %s: %s", page, visibleTime, s.said)
}
