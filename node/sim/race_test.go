//go:build race

package sim

// underRace: everything is about ten times slower.
const underRace = true
