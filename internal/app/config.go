package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"example.com/signpost/internal/siteconfig"
)

// CheckConfig prints every problem of the site configuration in a file. The error is
// ErrSomeFailed if any problem is an error.
func CheckConfig(path string, out io.Writer) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the site configuration cannot be read: %w", err)
	}
	_, problems := siteconfig.Check(string(text), siteconfig.CheckOptions{})
	for _, p := range problems {
		if _, err := fmt.Fprintf(out, "%s:%s\n", path, p); err != nil {
			return err
		}
	}
	if problems.HasErrors() {
		return ErrSomeFailed
	}
	_, err = fmt.Fprintf(out, "%s: no errors\n", path)
	return err
}

// ShowConfig returns the text of the site configuration with its secrets masked: of a
// running server, or of the data folder where server is "".
func ShowConfig(ctx context.Context, o Options, server string) (text string, err error) {
	if server != "" {
		return NewClient(server, o.AdminToken).SiteConfig(ctx)
	}
	a, err := New(ctx, o)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, a.Stop(context.WithoutCancel(ctx))) }()
	stored, err := a.publisher.Text(ctx)
	if err != nil && !errors.Is(err, siteconfig.ErrNoVersion) {
		return "", err
	}
	return siteconfig.Mask(stored.Text), nil
}

// SetPrimaryURL sets the primary URL, of a running server or in the data folder where
// server is "", and returns it as it is written from now on.
func SetPrimaryURL(ctx context.Context, o Options, server, url string) (primary string, err error) {
	if strings.TrimSpace(url) == "" { // as a script with a variable that is not set would; it would take every link away
		return "", errors.New("the primary URL is empty: give the address of your Sourcegraph instance")
	}
	if server != "" {
		return NewClient(server, o.AdminToken).SetPrimaryURL(ctx, url)
	}
	a, err := New(ctx, o)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, a.Stop(context.WithoutCancel(ctx))) }()
	stored, err := a.publisher.Text(ctx)
	if err != nil && !errors.Is(err, siteconfig.ErrNoVersion) {
		return "", err
	}
	text, err := siteconfig.SetPrimaryURL(stored.Text, url)
	if err != nil {
		return "", err
	}
	config, problems, err := a.publisher.Put(ctx, text, stored.Version, "command line")
	if errors.Is(err, siteconfig.ErrInvalid) {
		return "", fmt.Errorf("%w:\n%w", err, problems)
	}
	if err != nil {
		return "", err
	}
	return config.Primary.String(), nil
}
