package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"example.com/signpost/internal/trial"
)

// actor does something again and again, after random pauses.
type actor struct {
	name        string
	least, most time.Duration // of the pauses
	act         func(ctx context.Context, random *rand.Rand) error
}

func (w *world) actors() []actor {
	return []actor{
		{"push", 50 * time.Millisecond, 700 * time.Millisecond, w.push},
		{"come and go", 3 * time.Second, 12 * time.Second, w.comeAndGo},
		{"rename", 4 * time.Second, 15 * time.Second, w.rename},
		{"break", 5 * time.Second, 25 * time.Second, w.breakSomething},
		{"configure", 10 * time.Second, 40 * time.Second, w.configure},
		{"resolve", 5 * time.Millisecond, 60 * time.Millisecond, w.resolve},
		{"resolve too", 5 * time.Millisecond, 60 * time.Millisecond, w.resolve},
	}
}

// push changes a repository, and mostly delivers a webhook: some are lost.
func (w *world) push(_ context.Context, random *rand.Rand) error {
	h, ok := w.estate.Pick(random)
	if !ok {
		return nil
	}
	if err := w.estate.Disturb(h.Number, random); err != nil {
		return err
	}
	w.count("pushes")
	if random.IntN(10) == 0 {
		return nil
	}
	status, err := w.server.Deliver(h, webhookSecret)
	if err != nil {
		return err
	}
	w.count(fmt.Sprintf("webhooks answered with %d", status))
	switch status {
	case http.StatusAccepted, http.StatusOK, http.StatusTooManyRequests, http.StatusServiceUnavailable:
	default:
		return fmt.Errorf("a delivery was answered with %d", status)
	}
	return nil
}

// comeAndGo makes a repository, or deletes one.
func (w *world) comeAndGo(_ context.Context, random *rand.Rand) error {
	living := w.estate.Living()
	if len(living) > w.opts.repositories && random.IntN(2) == 0 || len(living) > 2*w.opts.repositories {
		w.count("deletions")
		return w.estate.Delete(living[random.IntN(len(living))].Number)
	}
	w.count("new repositories")
	origin := living[random.IntN(len(living))].Address
	if random.IntN(2) == 0 {
		origin = ""
	}
	_, err := w.estate.Add(w.address("TRIAL"), origin, random, 1+random.IntN(300<<10))
	return err
}

// rename renames or moves a repository; at times another one takes its old address.
func (w *world) rename(_ context.Context, random *rand.Rand) error {
	h, ok := w.estate.Pick(random)
	if !ok {
		return nil
	}
	project, slug, _ := strings.Cut(h.Address, "/")
	to := w.address(project)
	if random.IntN(3) == 0 {
		to = map[string]string{"TRIAL": "OTHER/", "OTHER": "TRIAL/"}[project] + slug
	}
	if err := w.estate.Rename(h.Number, to); err != nil {
		if strings.Contains(err.Error(), "already") { // somebody else has that address
			return nil
		}
		return err
	}
	w.count("renames and moves")
	if random.IntN(4) > 0 {
		return nil
	}
	w.count("addresses taken over")
	_, err := w.estate.Add(h.Address, "", random, 10<<10)
	return err
}

// breakSomething makes the double misbehave for some seconds.
func (w *world) breakSomething(ctx context.Context, random *rand.Rand) error {
	for range 1 + random.IntN(2) {
		if err := w.double.Fault(trial.RandomFault(random)); err != nil {
			return err
		}
		w.count("faults")
	}
	pause(ctx, random, time.Second, 10*time.Second)
	return w.double.ClearFaults()
}

// configure changes the primary, and excludes a repository or none.
func (w *world) configure(_ context.Context, random *rand.Rand) error {
	excluded := ""
	if h, ok := w.estate.Pick(random); ok && random.IntN(2) == 0 {
		excluded = h.Address
	}
	next := w.primary.Load() + 1
	if err := w.server.PutConfig(w.config(next, excluded)); err != nil {
		return err
	}
	w.primary.Store(next)
	w.count("configurations")
	return nil
}

// resolve asks for the link of a page, and checks that it goes to the primary and to the
// repository that was asked for.
func (w *world) resolve(_ context.Context, random *rand.Rand) error {
	h, ok := w.estate.Pick(random)
	if !ok {
		return nil
	}
	project, slug, _ := strings.Cut(h.Address, "/")
	page := fmt.Sprintf("%s/projects/%s/repos/%s/browse", w.double.URL(), project, slug)
	switch random.IntN(3) {
	case 0:
		page += "/README.md"
	case 1:
		page += "?at=" + url.QueryEscape("refs/heads/main")
	}
	atLeast := w.primary.Load()
	link, err := w.server.Resolve(page)
	if problem, ok := errors.AsType[*trial.Problem](err); ok {
		w.count(fmt.Sprintf("resolves answered with %d", problem.Status))
		switch problem.Status {
		case http.StatusNotFound, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout:
			return nil // new, excluded, or Bitbucket is needed and broken
		}
	}
	if err != nil {
		return err
	}
	w.count("links")
	var number int64
	rest, isPrimary := strings.CutPrefix(link.URL, "https://sg-")
	if _, err := fmt.Sscanf(rest, "%d.example.com/", &number); err != nil || !isPrimary || number < atLeast {
		return fmt.Errorf("%s got %s, which is not the primary %d", page, link.URL, atLeast)
	}
	if link.Repository == nil || !w.estate.WasAt(h.Address, link.Repository.ID) {
		return fmt.Errorf("%s got %s, the link of another repository", page, link.URL)
	}
	return nil
}
