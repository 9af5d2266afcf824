package app

import (
	"net"
	"testing"
)

// A browser cannot ask the address of a server that listens on all.
func TestTheDemoNamesAnAddressThatCanBeAsked(t *testing.T) {
	t.Parallel()
	for listen, host := range map[string]string{"127.0.0.1:0": "127.0.0.1", "0.0.0.0:0": "127.0.0.1", ":0": "127.0.0.1"} {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", listen)
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		a := &App{listener: listener}
		if got, want := a.loopbackURL(), "http://"+net.JoinHostPort(host, port); got != want {
			t.Errorf("listening on %s: %s, want %s", listen, got, want)
		}
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	}
}
