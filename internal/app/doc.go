// Package app puts Signpost together: it opens the data folder, connects the parts that
// know nothing of one another, starts them, and stops them in reverse order. Each command
// of the program is a function or method here; cmd/signpost only reads flags.
package app
