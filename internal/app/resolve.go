package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"example.com/signpost/api"
	"example.com/signpost/resolver"
)

// maxLine is how much of a line of standard input is kept, in bytes: more than any URL may
// have, so that a longer line is refused as a URL, by itself.
const maxLine = 16 << 10

// batchLines is how many URLs of standard input are resolved at once.
const batchLines = 100

// ResolveOptions says what to resolve, and how to print it.
type ResolveOptions struct {
	Server string   // asked instead of the data folder, if not ""
	JSON   bool     // print whole answers
	URLs   []string // "-" stands for the lines of In
	In     io.Reader
	Out    io.Writer // a link a line, in order
	Err    io.Writer // the reasons of those without a link
}

// resolved is what became of one URL.
type resolved struct {
	input string
	link  *resolver.Link
	json  []byte
	err   error
}

// linkSource resolves URLs, in order: a running server, or the data folder.
type linkSource interface {
	resolveMany(ctx context.Context, urls []string) ([]resolved, error)
}

// Resolve prints the link of each URL. The error is ErrSomeFailed if any has none.
func Resolve(ctx context.Context, o Options, r ResolveOptions) (err error) {
	var source linkSource
	if r.Server != "" {
		source = NewClient(r.Server, o.AdminToken)
	} else {
		if o.ConfigFile == "" {
			if err := requireDataFolder(o.DataDir); err != nil {
				return err
			}
		}
		a, openErr := New(ctx, o)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, a.Stop(context.WithoutCancel(ctx))) }()
		source = a
	}
	failed := false
	for _, url := range r.URLs {
		each := func(urls []string) error {
			all, err := source.resolveMany(ctx, urls)
			if err != nil {
				return err
			}
			for _, one := range all {
				failed = failed || one.err != nil
				if err := r.print(one); err != nil {
					return err
				}
			}
			return nil
		}
		if url == "-" {
			err = eachBatch(r.In, each)
		} else {
			err = each([]string{url})
		}
		if err != nil {
			return err
		}
	}
	if failed {
		return ErrSomeFailed
	}
	return nil
}

// eachBatch calls do with the lines of in, some at a time. Empty lines count for nothing.
func eachBatch(in io.Reader, do func(urls []string) error) error {
	lines := bufio.NewReaderSize(in, maxLine)
	var batch []string
	for {
		line, err := readLine(lines)
		if line != "" {
			batch = append(batch, line)
		}
		if len(batch) == batchLines || err != nil && len(batch) > 0 {
			if err := do(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
	}
}

// readLine returns the next line without the white space around it, of a long one only as
// much as lines holds at once. Beside an error is what came before it.
func readLine(lines *bufio.Reader) (string, error) {
	kept, err := lines.ReadSlice('\n')
	line := string(bytes.TrimSpace(kept))
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = lines.ReadSlice('\n')
	}
	return line, err
}

func (r *ResolveOptions) print(one resolved) error {
	var err error
	switch {
	case one.err != nil:
		_, err = fmt.Fprintf(r.Err, "%s: %s\n", shorten(one.input), describe(one.err))
	case r.JSON:
		_, err = fmt.Fprintf(r.Out, "%s\n", bytes.TrimSpace(one.json))
	default:
		_, err = fmt.Fprintln(r.Out, one.link.URL)
	}
	return err
}

// shorten keeps a reason readable: URLs without a link can be very long, and of any bytes.
func shorten(url string) string {
	const most = 200
	if len(url) > most {
		url = url[:most] + "…"
	}
	quoted := fmt.Sprintf("%q", url)
	if quoted[1:len(quoted)-1] == url {
		return url
	}
	return quoted
}

// describe writes an error with the API's code. Who resolves on the data folder is an
// administrator, so the whole reason is in it.
func describe(err error) string {
	if problem, ok := errors.AsType[*ServerError](err); ok {
		return problem.Error()
	}
	return fmt.Sprintf("%v (%s)", err, api.CodeOf(err))
}

// resolveMany implements linkSource on the data folder.
func (a *App) resolveMany(ctx context.Context, urls []string) ([]resolved, error) {
	all := make([]resolved, 0, len(urls))
	for _, url := range urls {
		one := resolved{input: url}
		result, err := a.resolver.Resolve(ctx, url)
		if err != nil {
			one.err = err
		} else {
			one.link, one.json = result.Link, result.JSON
		}
		all = append(all, one)
	}
	return all, ctx.Err()
}
