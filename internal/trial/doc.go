// Package trial runs the real program against the double of Bitbucket, each a process of
// its own, and looks at what it leaves behind: is every mirror whole, has it the refs that
// Bitbucket had, is the data folder clean. The tests of this package kill the program, fill
// its disk, put broken servers in front of it and search its traces for secrets; the soak
// (internal/trial/soak) lets it run for an hour.
//
// The programs and their folders are described by a Place; an Estate is what the double
// holds and has held.
package trial
