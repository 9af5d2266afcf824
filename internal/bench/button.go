package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"example.com/signpost/internal/browser"
	"example.com/signpost/internal/trial/visit"
)

// fixedLink is an extension whose content script inserts a link that is always the same.
//
//go:embed fixedlink
var fixedLink embed.FS

const (
	buttonAim   = 1.5
	packageAim  = 60_000 // bytes of the extension, unpacked, without icons
	buttonTurns = 20     // at least; a page load differs more from the next than a request does
)

// compareButton compares the time from DOMContentLoaded to the button with its link, in Chromium
// with a warm server and worker, with the fixed link of an extension that asks nobody; and weighs
// the extension.
func compareButton(ctx context.Context, b *bench) (_ []row, err error) {
	program, err := b.buildProgram(ctx)
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(b.tmp, "button")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	world, err := visit.Start(ctx, visit.Options{Versions: []string{"9.4"}, ContextPaths: []string{""}, Folder: folder, Signpost: program})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, world.Close()) }()
	page := world.Sites[0].URL() + "/projects/WEB/repos/storefront/browse/cart/price.go"

	ours, err := world.Unpack(ctx, "signpost-chrome.zip", folder)
	if err != nil {
		return nil, err
	}
	theirs := filepath.Join(folder, "fixed-link")
	content, err := fs.Sub(fixedLink, "fixedlink")
	if err != nil {
		return nil, err
	}
	if err := os.CopyFS(theirs, content); err != nil {
		return nil, err
	}
	var sides []func(context.Context) (time.Duration, error)
	for _, unpacked := range []string{ours, theirs} {
		side, stop, err := buttonSide(ctx, unpacked, page)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, stop()) }()
		sides = append(sides, side)
	}
	t, err := takeTurns(ctx, b.budget, buttonTurns, sides[0], sides[1])
	if err != nil {
		return nil, err
	}
	weight, err := weigh(ours)
	if err != nil {
		return nil, err
	}
	return []row{
		timeRow("from DOMContentLoaded to the button, warm, in Chromium", "an extension that inserts a fixed link", t, atMost(buttonAim)),
		{
			what: "bytes of the extension, unpacked, without icons", against: "-", measured: fmt.Sprintf("%d", weight),
			aim: absolute(fmt.Sprintf("≤ %d", packageAim), weight <= packageAim),
		},
	}, nil
}

// buttonSide starts a Chromium with an extension, opens the page until all is warm, and returns
// what opens it once more and tells how long the link took.
func buttonSide(ctx context.Context, unpacked, page string) (measure func(context.Context) (time.Duration, error), stop func() error, err error) {
	chromium, err := browser.StartChromium(ctx, browser.ChromiumOptions{Extension: unpacked})
	if err != nil {
		return nil, nil, err
	}
	tab, err := chromium.NewTab(ctx)
	if err == nil {
		err = visit.Watch(ctx, tab)
	}
	measure = func(ctx context.Context) (time.Duration, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := tab.Open(ctx, page); err != nil {
			return 0, err
		}
		r, err := visit.Until(ctx, tab, func(now visit.Look) bool { return now.State == visit.StateLink })
		took, _ := r.Shown()
		return took, err
	}
	for range 5 {
		if err == nil {
			_, err = measure(ctx)
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, chromium.Close())
	}
	return measure, chromium.Close, nil
}

// weigh returns how many bytes the files of an extension have, but for its icons.
func weigh(unpacked string) (bytes int64, err error) {
	err = filepath.WalkDir(unpacked, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if err == nil && entry.Name() == "icons" {
				return filepath.SkipDir
			}
			return err
		}
		info, err := entry.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	return bytes, err
}
