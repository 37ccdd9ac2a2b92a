//go:build race

package scenario

// underRace: everything is about ten times slower.
const underRace = true
