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
			"-seed 75", "a returning node disturbs no other: the simulator itself was wrong. An order to campaign that was " +
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
		{
			"-seed 2", "the nodes converge: a leader compacted the history again and again, though nothing was left to " +
				"compact", "e820350",
		},
		{
			"-seed 166", "a transfer succeeds: the log was cut whatever a follower lacked, so that the target needed a " +
				"snapshot for each entry", "7d97261",
		},
		{
			"-seed 25", "what a node keeps is bounded: a start took what lay between the log's start and the checkpoint for " +
				"removed, and it stayed on the disk for ever", "695f997",
		},
		{
			"-seed 20232 -steps 20000 -limits checkpoint-bytes=1,window=1,follower-bytes=1,cut=1,tail=300",
			"no entry is removed that the checkpoint lacks: each start named a seat once more that the checkpoint named " +
				"already", "41a2b94",
		},
		{
			"-seed 100019", "a node keeps to what its disk offers: after the installation of a snapshot had failed, a last " +
				"checkpoint of the state before it was written", "4a6d3ee",
		},
		{
			"-seed 150 -mix lost-disk=0.5,crash=0.002,restart=1", "a leader has what was acknowledged: the simulator itself " +
				"was wrong. A disk that replaces a lost one has acknowledged nothing", "3af1a61",
		},
	}
}
