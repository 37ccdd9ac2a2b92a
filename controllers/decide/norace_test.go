//go:build !race

package decide_test

// thinned is the divisor of what is only repetition in tests.
const thinned = 1
