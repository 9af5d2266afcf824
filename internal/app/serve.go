package app

import (
	"context"
	"errors"
	"strings"

	"example.com/signpost/internal/siteconfig"
)

// ErrSomeFailed means that a command did its work and part of it failed; what and why is
// printed already.
var ErrSomeFailed = errors.New("some failed")

// AdminToken returns the value of SIGNPOST_ADMIN_TOKEN. White space around it is dropped, since
// no request could carry it: files that such values are read from end with a line break.
func AdminToken(lookupEnv func(string) (string, bool)) siteconfig.Secret {
	value, _ := lookupEnv("SIGNPOST_ADMIN_TOKEN")
	return siteconfig.NewSecret(strings.TrimSpace(value))
}

// Serve runs the server until ctx ends, then drains it.
func Serve(ctx context.Context, o Options) error {
	a, err := New(ctx, o)
	if stopped(ctx, err) {
		return nil
	}
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

// stopped tells whether err is nothing but the end of ctx: a server that is asked to stop
// while it starts does as it was told.
func stopped(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, context.Canceled)
}
