package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// TestMain makes the test binary serve as the real program and as the double of Bitbucket
// too, each a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"signpost":         main,
		"bitbucket-double": func() { os.Exit(bitbuckettest.Main(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}
