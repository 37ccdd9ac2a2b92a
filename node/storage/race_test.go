//go:build race

package storage

// thinned says how much of what is only repetition tests leave out: with the race detector SQLite is ten times
// slower, and what these tests look for is not a race.
const thinned = 10
