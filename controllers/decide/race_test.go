//go:build race

package decide_test

// thinned is the divisor of what is only repetition in tests: the race detector makes storms several times slower, and
// what they look for is not a race.
const thinned = 5
