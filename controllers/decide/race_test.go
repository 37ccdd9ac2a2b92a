//go:build race

package decide_test

// thinned divides the number of repetitions in tests: the race detector makes random runs several times slower, and
// they do not look for data races.
const thinned = 5
