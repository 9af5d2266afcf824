package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	extension "example.com/signpost/extension-assets"
	"example.com/signpost/internal/siteconfig"
)

// signedXPIName is where an administrator puts what Mozilla signed, in the data folder.
const signedXPIName = "signed.xpi"

// maxXPI bounds the size of a signed XPI, in bytes: many times that of the extension.
const maxXPI = 16 << 20

// makeExtension makes what hands the browser extension out. It builds nothing until runExtension.
func (a *App) makeExtension(folder *dataFolder) (err error) {
	a.signed = &signedXPI{path: folder.file(signedXPIName)}
	a.extension, err = extension.NewPublisher(extension.PublisherOptions{Records: a.records, Signed: a.signed.look, Logger: a.log})
	return err
}

// runExtension builds the packages of the extension in the background, now and after each change.
func (a *App) runExtension(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.extension.Run(ctx)
	}()
	a.onStop("packing of the extension", func(ctx context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

func (a *App) configureExtension(_ context.Context, next *siteconfig.Config) (func(), error) {
	return func() { a.extension.SetConfiguration(extension.ConfigurationOf(next)) }, nil
}

// signedXPI is the file that an administrator may put into the data folder. It is for one goroutine.
type signedXPI struct {
	path     string
	modified time.Time
	size     int64
}

// look returns what is there if that changed since the last look.
func (s *signedXPI) look() (signed *extension.SignedXPI, changed bool, err error) {
	info, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		changed = s.size > 0
		s.modified, s.size = time.Time{}, 0
		return nil, changed, nil
	}
	if err != nil {
		return nil, false, err
	}
	if info.ModTime().Equal(s.modified) && info.Size() == s.size {
		return nil, false, nil
	}
	if info.Size() > maxXPI {
		return nil, false, fmt.Errorf("%s is larger than the extension could be", s.path)
	}
	content, err := os.ReadFile(s.path)
	if err == nil {
		signed, err = extension.ReadSignedXPI(content)
	}
	if err != nil { // half of a copy, perhaps: it is read again
		return nil, false, fmt.Errorf("%s: %w", s.path, err)
	}
	s.modified, s.size = info.ModTime(), info.Size()
	return signed, true, nil
}

// BuildExtension writes everything that the server hands out for browsers into a folder, and the extension
// unpacked for each. It needs the data folder, since the signing key and the version are there. out gets
// a summary.
func BuildExtension(ctx context.Context, o Options, dir string, out io.Writer) (err error) {
	if o.ConfigFile == "" {
		if err := requireDataFolder(o.DataDir); err != nil {
			return err
		}
	}
	target, err := openOutFolder(dir)
	if err != nil {
		return err
	}
	a, err := open(ctx, o)
	if errors.Is(err, ErrDataFolderInUse) {
		return fmt.Errorf("%w: its packages are the same, and are at %s", ErrDataFolderInUse, downloads(ctx, o.ConfigFile))
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Stop(context.WithoutCancel(ctx))) }()
	if err := a.publisher.Load(ctx); err != nil {
		return err
	}
	signed, _, err := a.signed.look()
	if err != nil {
		return err
	}
	packages, err := extension.Pack(ctx, a.records, extension.Files, extension.ConfigurationOf(a.publisher.Current()), signed)
	if err != nil {
		return err
	}
	if err := target.write(packages); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "version %s for %s is in %s\nChrome and Edge know it as %s, Firefox as %s\n",
		packages.Version, packages.Configuration.ServerURL, target.path, packages.ChromeID, packages.FirefoxID)
	return err
}

// downloads says where the server that uses the data folder hands the packages out, as far as that
// can be told without the folder.
func downloads(ctx context.Context, configFile string) string {
	const unknown = "the externalURL of the running server, below " + extension.Path
	if configFile == "" {
		return unknown
	}
	publisher, err := siteconfig.NewPublisher(siteconfig.PublisherOptions{File: configFile})
	if err != nil || publisher.Load(ctx) != nil || publisher.Current().ExternalURL == "" {
		return unknown
	}
	return publisher.Current().ExternalURL + extension.Path
}
