package gitmirror

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// countedConn tells when it is closed.
type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// filesBelow returns the files below dir that this process has open, removed ones too; none where
// the system has no /proc.
func filesBelow(dir string) []string {
	var open []string
	descriptors, _ := os.ReadDir("/proc/self/fd")
	for _, d := range descriptors {
		if name, err := os.Readlink(filepath.Join("/proc/self/fd", d.Name())); err == nil && strings.HasPrefix(name, dir+"/") {
			open = append(open, name)
		}
	}
	return open
}

// TestFailedFetchLeavesNothingOpen lets servers answer in ways that make go-git stop reading.
func TestFailedFetchLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"no packets":                 strings.Repeat("nonsense", 1<<16),
		"a line that is no answer":   pkt("what\n"),
		"a pack that breaks off":     pkt("NAK\n") + pkt("\x01PACK\x00\x00\x00\x02\x00\x00\x00\x05") + "0000",
		"a pack that is none":        pkt("NAK\n") + pkt("\x01PACKnonsense") + "0000",
		"an end where more was said": pkt("NAK\n") + "0fff\x01PACK",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.origin.history()
			f.origin.setFault(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPost {
					return false
				}
				_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice that the client has gone
				w.Header().Set("Content-Type", packResultType)
				_, _ = io.WriteString(w, answer)
				return true
			})
			var connections sync.WaitGroup
			transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
				if err != nil {
					return nil, err
				}
				connections.Add(1)
				return &countedConn{conn, sync.OnceFunc(connections.Done)}, nil
			}}
			request := f.request()
			request.Transport = transport
			_, err := f.Fetch(t.Context(), request)
			wantErr(t, err)
			if open := filesBelow(f.data); len(open) > 0 {
				t.Errorf("files are open: %v", open)
			}
			transport.CloseIdleConnections()
			closed := make(chan struct{})
			go func() { connections.Wait(); close(closed) }()
			waitFor(t, "the end of all connections", closed)
		})
	}
}
