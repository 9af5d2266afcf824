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
	text, err := readConfig(path)
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

// readConfig reads a file, at most one byte more than a site configuration may have.
func readConfig(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // read only: nothing can be lost
	return io.ReadAll(io.LimitReader(file, siteconfig.MaxTextBytes+1))
}

// ShowConfig returns the text of the site configuration with its secrets masked: of a
// running server, or where server is "" of the file, or else of the data folder. A file that has
// errors is shown beside the error that has them.
func ShowConfig(ctx context.Context, o Options, server string) (text string, err error) {
	if server != "" {
		return NewClient(server, o.AdminToken).SiteConfig(ctx)
	}
	if o.ConfigFile != "" {
		return showFile(ctx, o.ConfigFile)
	}
	if err := requireDataFolder(o.DataDir); err != nil {
		return "", err
	}
	// Not New: whoever looks for what is wrong must see it, though a secret that it refers to
	// is not there, as the server's environment is not in an administrator's shell.
	a, err := open(ctx, o)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, a.Stop(context.WithoutCancel(ctx))) }()
	stored, err := a.publisher.Text(ctx)
	if err != nil {
		return "", err
	}
	return siteconfig.Mask(stored.Text), nil
}

// showFile returns the masked text of a file. It needs no data folder, which a server may use.
func showFile(ctx context.Context, file string) (string, error) {
	publisher, err := siteconfig.NewPublisher(siteconfig.PublisherOptions{File: file})
	if err != nil {
		return "", err
	}
	loadErr := publisher.Load(ctx)
	if errors.Is(loadErr, siteconfig.ErrInvalid) {
		// What is wrong can be a secret that is there for the server alone: it is shown all the same.
		text, err := readConfig(file)
		return siteconfig.Mask(string(text)), errors.Join(loadErr, err)
	}
	if loadErr != nil {
		return "", loadErr
	}
	stored, err := publisher.Text(ctx)
	return siteconfig.Mask(stored.Text), err
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
	if o.ConfigFile != "" { // known without the data folder, which a server may use
		return "", fmt.Errorf("%w %s", siteconfig.ErrReadOnly, o.ConfigFile)
	}
	a, err := New(ctx, o)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, a.Stop(context.WithoutCancel(ctx))) }()
	stored, err := a.publisher.Text(ctx)
	if err != nil {
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
