package mutants

import (
	"maps"
	"slices"
)

// unplantable returns the reason for every trap without a mutant. A trap of the list has one or the other.
var unplantable = map[string]string{
	"T8": laterMembership, "T9": laterMembership,
	"T20": "the loop saves before it goes on, so no entry is replaced while it is being written; " + coreTests,
	"T21": "a simulated cluster runs in one thread of control, so nothing can race: that is for the race detector",

	"T23": laterMembership, "T24": laterMembership, "T25": laterMembership, "T26": laterMembership, "T27": laterMembership,
	"T29": laterMembership, "T30": laterMembership,

	"T37": realDisk,

	"T46": "no request is authenticated yet, so Apply decides about no permission",
	"T47": "there are no leases of clients yet",
	"T48": "there are no sessions of clients yet, and no table that identifies a repeated command",
	"T51": laterWatch, "T52": laterWatch,

	"T56": realDisk, "T57": realDisk,
	"S1": realDisk, "S2": realDisk, "S3": realDisk, "S4": realDisk, "S5": realDisk, "S6": realDisk, "S7": realDisk,
	"S8": realDisk, "S9": realDisk, "S10": realDisk,

	"H1": realNetwork, "H2": realNetwork, "H3": realNetwork, "H4": realNetwork, "H5": realNetwork,
	"H6": "the nodes do not use TLS yet",
}

// What several traps have in common.
const (
	coreTests       = "the core allows it, and TestRandomClusters of node/raft does it"
	laterMembership = "no simulated cluster changes its members yet: " +
		"`make mutants-core` plants them for the tests of node/raft"
	laterWatch  = "there is no watch yet"
	realDisk    = "it is about SQLite and files, and here the disk is simulated: the tests of node/storage have it"
	realNetwork = "it is about HTTP, and here the network is simulated: the tests of node/transport have it"
)

// reason is what traps without a mutant have in common.
type reason struct {
	why   string
	traps []string
}

// unplanted lists the traps without a mutant by reason, in the order of the first trap of each.
func unplanted() []reason {
	traps := slices.SortedFunc(maps.Keys(unplantable), func(a, b string) int {
		return byTrap(Mutant{ID: a}, Mutant{ID: b})
	})
	var reasons []reason
	for _, trap := range traps {
		why := unplantable[trap]
		i := slices.IndexFunc(reasons, func(r reason) bool { return r.why == why })
		if i < 0 {
			i, reasons = len(reasons), append(reasons, reason{why: why})
		}
		reasons[i].traps = append(reasons[i].traps, trap)
	}
	return reasons
}
