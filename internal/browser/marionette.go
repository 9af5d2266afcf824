package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
)

// marionette speaks Firefox's own protocol for WebDriver: over TCP, each message is the
// number of its bytes, a colon, and JSON. Commands are answered in order, one at a time.
// https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html
type marionette struct {
	conn   net.Conn
	reader *bufio.Reader

	mu   sync.Mutex // held while a command runs
	last int
}

// longestMessage bounds an answer; a screenshot has some hundred kilobytes.
const longestMessage = 64 << 20

// dialMarionette connects to a port of this machine, and reads the greeting.
func dialMarionette(ctx context.Context, port int) (*marionette, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	m := &marionette{conn: conn, reader: bufio.NewReader(conn)}
	var greeting struct{ MarionetteProtocol int }
	text, err := m.read()
	if err == nil {
		err = json.Unmarshal(text, &greeting)
	}
	if err == nil && greeting.MarionetteProtocol != 3 {
		err = fmt.Errorf("protocol %d, want 3", greeting.MarionetteProtocol)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("browser: Marionette: %w", err), conn.Close())
	}
	return m, nil
}

func (m *marionette) read() ([]byte, error) {
	text, err := m.reader.ReadString(':')
	if err != nil {
		return nil, err
	}
	length, err := strconv.Atoi(text[:len(text)-1])
	if err != nil || length < 0 || length > longestMessage {
		return nil, fmt.Errorf("a message of %q bytes", text)
	}
	message := make([]byte, length)
	_, err = io.ReadFull(m.reader, message)
	return message, err
}

// marionetteError is what a command failed with.
type marionetteError struct {
	Code    string `json:"error"`
	Message string `json:"message"`
}

// Error implements error.
func (e *marionetteError) Error() string { return e.Code + ": " + e.Message }

// call runs a command and reads its result into out, which may be nil. When ctx ends before
// the answer is there, the connection is of no further use.
func (m *marionette) call(ctx context.Context, command string, params, out any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { _ = m.conn.Close() })
	defer stop()
	err := m.exchange(command, params, out)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return fmt.Errorf("browser: %s: %w", command, err)
}

func (m *marionette) exchange(command string, params, out any) error {
	if params == nil {
		params = struct{}{}
	}
	m.last++
	request, err := json.Marshal([]any{0, m.last, command, params})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(m.conn, "%d:%s", len(request), request); err != nil {
		return err
	}
	text, err := m.read()
	if err != nil {
		return err
	}
	var answer [4]json.RawMessage // kind, number, error, result
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	if string(answer[1]) != strconv.Itoa(m.last) {
		return fmt.Errorf("the answer to command %s, want %d", answer[1], m.last)
	}
	if string(answer[2]) != "null" {
		failed := new(marionetteError)
		if err := json.Unmarshal(answer[2], failed); err != nil {
			return err
		}
		return failed
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer[3], out)
}

func (m *marionette) close() error { return m.conn.Close() }
