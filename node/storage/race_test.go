//go:build race

package storage

// thinned is the factor by which tests reduce their repetitions: with the race detector SQLite is ten times slower,
// and these tests do not look for races.
const thinned = 10
