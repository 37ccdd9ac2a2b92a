//go:build !race

package decide_test

// thinned divides the number of repetitions in tests.
const thinned = 1
