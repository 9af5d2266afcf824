//go:build !race

package gitmirror

const raceEnabled = false
