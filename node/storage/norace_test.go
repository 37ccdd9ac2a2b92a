//go:build !race

package storage

// thinned is the factor by which tests reduce their repetitions: none.
const thinned = 1
