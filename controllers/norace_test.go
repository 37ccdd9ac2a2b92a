//go:build !race

package controllers_test

// thinned is the divisor of what is only repetition in tests.
const thinned = 1
