// Package browser drives the browsers that the extension is tested in: Debian's Chromium over
// the DevTools protocol, and Debian's Firefox ESR over Marionette. Each runs without a
// window, as a process of its own with a fresh profile, and leaves nothing behind.
//
// # Network
//
// A browser that is given a Network sends everything through it, what it asks for on its own
// account too: the log of the Network is all that left the browser. Only this machine can be
// reached through it.
//
// # Concurrency
//
// Browsers and the Network are safe for concurrent use. A Tab serves one goroutine at a time.
package browser
