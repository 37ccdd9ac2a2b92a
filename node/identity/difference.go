package identity

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kontiki-dev/kontiki/node/address"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// ListMismatchError is the error for a peer that belongs to another cluster because its list of members is another one.
// Text names the entries in which the lists differ.
type ListMismatchError struct{ Text string }

func (e *ListMismatchError) Error() string { return e.Text }

// maxDifferences is how many entries Difference names.
const maxDifferences = 3

// Difference names the entries in which two lists of members differ, in the order of their ids: "" if they do not. The
// lists are called as said: "member 2 is at http://a:7080 in the data and at http://b:7080 in --initial-cluster".
func Difference(one []Member, inOne string, two []Member, inTwo string) string {
	return difference(one, inOne, two, inTwo, func(a, b string) bool {
		return address.HostAndPort(a) == address.HostAndPort(b)
	})
}

// ExactDifference is Difference for lists that make the ids of clusters (StaticClusterID): there two ways to write an
// address are two addresses.
func ExactDifference(one []Member, inOne string, two []Member, inTwo string) string {
	return difference(one, inOne, two, inTwo, func(a, b string) bool { return a == b })
}

func difference(one []Member, inOne string, two []Member, inTwo string, same func(a, b string) bool) string {
	var differs []string
	ids := map[raft.NodeID]bool{}
	for _, m := range slices.Concat(one, two) {
		ids[m.ID] = true
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		a, b := AddressOf(one, id), AddressOf(two, id)
		switch {
		case a == "":
			differs = append(differs, fmt.Sprintf("member %d is only in %s, at %s", id, inTwo, b))
		case b == "":
			differs = append(differs, fmt.Sprintf("member %d is only in %s, at %s", id, inOne, a))
		case !same(a, b):
			differs = append(differs, fmt.Sprintf("member %d is at %s in %s and at %s in %s", id, a, inOne, b, inTwo))
		}
	}
	if more := len(differs) - maxDifferences; more > 0 {
		differs = append(differs[:maxDifferences], fmt.Sprintf("%d more differ", more))
	}
	return strings.Join(differs, "; ")
}
