package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// load is a client with a few connections that are kept alive. Each sends its next
// request when the answer to the last has come.
type load struct {
	connections []*keptConnection
}

// keptConnection sends its requests in turn. It is for one goroutine at a time.
type keptConnection struct {
	conn      net.Conn
	reader    *bufio.Reader
	requests  [][]byte
	next      int
	latencies []time.Duration
}

// newLoad connects to a server, and asks each connection's first request once.
func newLoad(ctx context.Context, address string, pages []string) (_ *load, err error) {
	requests := make([][]byte, len(pages))
	for i, page := range pages {
		requests[i] = fmt.Appendf(nil, requestForm, resolvePath(page), address)
	}
	l := &load{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	for i := range httpConnections {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		c := &keptConnection{
			conn: conn, reader: bufio.NewReaderSize(conn, 16<<10), requests: requests,
			next: i * len(requests) / httpConnections, // each begins elsewhere
		}
		l.connections = append(l.connections, c)
		if err := c.ask(); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// requestForm is what the background worker of a browser extension sends.
const requestForm = "GET %s HTTP/1.1\r\n" +
	"Host: %s\r\n" +
	"Connection: keep-alive\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
	"Accept: application/json\r\n" +
	"Sec-Fetch-Site: none\r\n" +
	"Sec-Fetch-Mode: cors\r\n" +
	"Sec-Fetch-Dest: empty\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-US,en;q=0.9\r\n" +
	"\r\n"

func (l *load) close() {
	for _, c := range l.connections {
		_ = c.conn.Close()
	}
}

// burst is what a load did in a while.
type burst struct {
	requests int
	time     time.Duration
	p99      time.Duration
}

func (b burst) rate() float64 { return float64(b.requests) / b.time.Seconds() }
func (b burst) tail() float64 { return float64(b.p99) }

// run keeps every connection busy for d.
func (l *load) run(d time.Duration) (burst, error) {
	errs := make([]error, len(l.connections))
	begun := time.Now()
	deadline := begun.Add(d)
	var group sync.WaitGroup
	for i, c := range l.connections {
		group.Go(func() { errs[i] = c.askUntil(deadline) })
	}
	group.Wait()
	elapsed := time.Since(begun)
	if err := errors.Join(errs...); err != nil {
		return burst{}, err
	}
	var all []time.Duration
	for _, c := range l.connections {
		all = append(all, c.latencies...)
	}
	slices.Sort(all)
	return burst{requests: len(all), time: elapsed, p99: all[len(all)*99/100]}, nil
}

func (c *keptConnection) askUntil(deadline time.Time) error {
	// One that hangs is an error, not a long measurement.
	if err := c.conn.SetDeadline(deadline.Add(10 * time.Second)); err != nil {
		return err
	}
	c.latencies = c.latencies[:0]
	for before := time.Now(); before.Before(deadline); {
		if err := c.ask(); err != nil {
			return err
		}
		now := time.Now()
		c.latencies = append(c.latencies, now.Sub(before))
		before = now
	}
	return nil
}

var (
	statusOK      = []byte("HTTP/1.1 200 ")
	contentLength = []byte("Content-Length: ")
)

// ask sends the next request and reads its answer, which must be a 200 of a told length.
func (c *keptConnection) ask() error {
	request := c.requests[c.next]
	c.next = (c.next + 1) % len(c.requests)
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, statusOK) {
		return fmt.Errorf("the server answered %q", line)
	}
	length := -1
	for len(line) > 2 {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return err
		}
		if digits, ok := bytes.CutPrefix(line, contentLength); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(digits))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("the server did not tell the length of its answer")
	}
	_, err = c.reader.Discard(length)
	return err
}
