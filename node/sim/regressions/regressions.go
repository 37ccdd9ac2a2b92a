// Package regressions keeps the simulated clusters that once broke an invariant. Its test runs all of them again.
//
// A seed replays one version of the code: after a change, the same seed may not show the same bug. So a row does not
// prove that a bug is fixed. It records what was found, and how, and runs under conditions that were hard once. The
// proof is a test beside the code that was fixed.
package regressions

// Found is a run that broke an invariant, with the code of that time.
type Found struct {
	Options string // of raftsim: sim.ParseOptions reads them
	Broke   string // the invariant, and what was wrong
	Mended  string // the commit that fixed it
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
