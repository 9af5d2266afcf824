package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// ChromiumTab is a page of Chromium: a Tab that can do more.
type ChromiumTab struct {
	ctx  context.Context // of the target
	stop context.CancelFunc
}

var _ Tab = (*ChromiumTab)(nil)

// Open implements Tab.
func (t *ChromiumTab) Open(ctx context.Context, address string) error {
	if err := t.run(ctx, chromedp.Navigate(address)); err != nil {
		return fmt.Errorf("browser: open %s: %w", address, err)
	}
	return nil
}

// Evaluate implements Tab.
func (t *ChromiumTab) Evaluate(ctx context.Context, script string, out any) error {
	return t.do(ctx, func(ctx context.Context) error {
		yes := true
		answer, err := chromedp.Call(ctx, runtime.Evaluate, runtime.EvaluateParams{
			Expression: script, AwaitPromise: &yes, ReturnByValue: &yes, UserGesture: &yes,
		})
		switch {
		case err != nil:
			return fmt.Errorf("browser: %s: %w", script, err)
		case answer.ExceptionDetails != nil:
			return fmt.Errorf("browser: %s: %w", script, &chromedp.ExceptionError{ExceptionDetails: answer.ExceptionDetails})
		case out == nil:
			return nil
		case answer.Result.Type == "undefined":
			return json.Unmarshal([]byte("null"), out)
		}
		return json.Unmarshal(answer.Result.Value, out)
	})
}

// Screenshot implements Tab.
func (t *ChromiumTab) Screenshot(ctx context.Context) (png []byte, err error) {
	err = t.do(ctx, func(ctx context.Context) (err error) {
		png, err = chromedp.Run(ctx, chromedp.CaptureScreenshot())
		return err
	})
	return png, err
}

// Close implements Tab.
func (t *ChromiumTab) Close() error {
	if t.ctx.Err() != nil {
		return nil
	}
	err := chromedp.Cancel(t.ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// EachDocument runs a script in every page that the tab opens from now on, before the page's own.
func (t *ChromiumTab) EachDocument(ctx context.Context, script string) error {
	return t.do(ctx, func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	})
}

// PreferDark tells pages whether the user prefers dark colors.
func (t *ChromiumTab) PreferDark(ctx context.Context, dark bool) error {
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	return t.do(ctx, func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

// Resize gives the page another size in CSS pixels, shown with so many pixels each.
func (t *ChromiumTab) Resize(ctx context.Context, width, height int64, scale float64) error {
	return t.run(ctx, chromedp.EmulateViewport(width, height, chromedp.EmulateScale(scale)))
}

// Press presses keys as a user does: characters, or names of package kb of chromedp.
func (t *ChromiumTab) Press(ctx context.Context, keys string) error {
	return t.run(ctx, chromedp.KeyEvent(keys))
}

// PressWith presses a key while modifiers are held down.
func (t *ChromiumTab) PressWith(ctx context.Context, key string, modifiers ...chromedp.Modifier) error {
	return t.run(ctx, chromedp.KeyEvent(key, chromedp.KeyModifiers(modifiers...)))
}

// Click clicks on a point of the page, in CSS pixels from its upper left corner.
func (t *ChromiumTab) Click(ctx context.Context, x, y float64) error {
	return t.run(ctx, chromedp.MouseClickXY(x, y))
}

func (t *ChromiumTab) run(ctx context.Context, action chromedp.Action[chromedp.Void]) error {
	return t.do(ctx, func(ctx context.Context) error { return chromedp.Do(ctx, action) })
}

// do runs something with the tab's context, and ends it when ctx ends.
func (t *ChromiumTab) do(ctx context.Context, do func(ctx context.Context) error) error {
	// The first call attaches to the target, for as long as its context lives.
	if err := chromedp.Do(t.ctx); err != nil {
		return err
	}
	return within(t.ctx, ctx, do)
}
