package api

import (
	"maps"
	"slices"
	"testing"
)

// onPorts are the statuses under which each port answers with its codes.
var onPorts = map[Port]map[Code]int{
	APIPort: { // design section 7
		"invalid": 400, "forbidden": 403, "not_found": 404, "method_not_allowed": 405, "conflict": 409, "compacted": 410,
		"precondition_failed": 412, "too_large": 413, "overloaded": 429, "internal": 500, "no_leader": 503,
		"not_ready": 503, "outcome_unknown": 504, "quota_exceeded": 507,
	},
	PeerPort: { // design section 6
		"invalid": 400, "bad_target": 400, "forbidden": 403, "unknown_sender": 403, "not_found": 404,
		"method_not_allowed": 405, "diverged": 409, "term_changed": 409, "identity_taken": 409,
		"cluster_mismatch": 412, "target_mismatch": 412,
		"protocol_mismatch": 412, "too_large": 413, "not_leader": 421, "overloaded": 429, "no_identity": 503,
		"no_leader": 503, "not_ready": 503, "outcome_unknown": 504,
	},
}

func TestTheTableIsTheContract(t *testing.T) {
	t.Parallel()
	for port, statuses := range onPorts {
		for code, status := range statuses {
			if got := code.Status(); got != status || !code.IsAnsweredOn(port) {
				t.Errorf("port %d: %s is answered with %d, want %d", port, code, got, status)
			}
		}
		for _, row := range codes {
			if _, ok := statuses[row.code]; !ok && row.code.IsAnsweredOn(port) {
				t.Errorf("port %d answers with %s", port, row.code)
			}
		}
	}
	for _, code := range []Code{
		CodeUnreachable, CodeNoRoute, CodeCanceled, CodeBadCommand, CodeConfigIndex, CodeBadChange, CodeChangeRefused,
		"something new", "",
	} {
		if got := code.Status(); got != 500 || code.IsAnsweredOn(APIPort|PeerPort) {
			t.Errorf("%q is answered with %d", code, got)
		}
	}
}

func TestEachCodeHasOneRow(t *testing.T) {
	t.Parallel()
	seen := map[Code]bool{}
	for _, row := range codes {
		if seen[row.code] {
			t.Errorf("%s has two rows", row.code)
		}
		seen[row.code] = true
	}
}

func TestOnlyWhatWasNotDoneMayBeSentAgain(t *testing.T) { // T49
	t.Parallel()
	undone := map[Code]bool{}
	for _, row := range codes {
		if row.code.NothingDone() {
			undone[row.code] = true
		}
	}
	want := []Code{CodeNoLeader, CodeNotReady, CodeOverloaded, CodeUnreachable}
	if got := slices.Sorted(maps.Keys(undone)); !slices.Equal(got, want) {
		t.Errorf("nothing was surely done after %v, want %v", got, want)
	}
	if Code("something new").NothingDone() {
		t.Error("a code that the table does not have claims that nothing was done")
	}
}
