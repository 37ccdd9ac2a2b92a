// Package regressions keeps the simulated clusters that once broke an invariant. Its test runs all of them again.
//
// A seed replays one version of the code: what was found by it may not come back by the same seed after a change. So a
// row is no proof that a bug stays away. It keeps what was found, and how, and runs under circumstances that were hard
// once. The proof is a test beside the code that was mended.
package regressions

// Found is a run that broke an invariant, on the code of its day.
type Found struct {
	Options string // of raftsim: sim.ParseOptions reads them
	Broke   string // the invariant, and what was wrong
	Mended  string // the commit that mended it
}

// All lists them, the oldest first.
func All() []Found {
	return []Found{
		{
			"-seed 75", "a returning node disturbs nobody: the simulator itself was wrong. An order to campaign that was " +
				"seconds late deposed a leader after the faults had ended", "2b8ca27",
		},
		{
			"-seed 907347090216", "a leader hands over its whole log: the simulator itself was wrong. The target had lost its " +
				"disk after it had acknowledged the log, and the leader could not know", "9b1f9e3",
		},
		{
			"-seed 1004954", "a leader without a majority steps down: the simulator itself was wrong. It took heartbeats that " +
				"tell of a commit for those that come with time", "2e3448f",
		},
		{
			"-seed 1108402172", "memory: the simulator itself was wrong. The model that porcupine was given let writes of " +
				"unknown outcome stay undone, and the search for an order took all memory", "bb25d54",
		},
	}
}
