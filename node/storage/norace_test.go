//go:build !race

package storage

// thinned says how much of what is only repetition tests leave out: nothing.
const thinned = 1
