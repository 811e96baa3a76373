//go:build race

package main

// raceDetector says that the race detector watches: a process of it takes half a
// second to begin.
const raceDetector = true
