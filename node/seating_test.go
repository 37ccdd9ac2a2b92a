package node

import (
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// A disk holds a seat as the founder that it is, or because the log gave it one. The disk that a founder had before, or
// a member without a seat, holds none.
func TestWhichDiskHoldsASeat(t *testing.T) { // T28
	t.Parallel()
	members := []Member{{ID: 1, Address: "http://h1:7080"}, {ID: 2, Address: "http://h2:7080"}}
	founders := []raft.Seat{{Member: 1, Incarnation: 11}}
	for name, c := range map[string]struct {
		id     raft.NodeID
		in     *seating
		seated string
		want   bool
	}{
		"a founder":                    {1, &seating{incarnation: 11, founders: founders}, "", true},
		"another disk of the founder":  {1, &seating{incarnation: 12, founders: founders}, "", false},
		"a late member":                {2, &seating{incarnation: 11, founders: founders}, "", false},
		"a late member with a seat":    {2, &seating{incarnation: 11, founders: founders}, "true", true},
		"a member before the founding": {1, nil, "", false},
	} {
		disk := saved(t, &self{c.id, "c", members}, c.in)
		disk.facts[factSeated] = c.seated
		if got := HoldsSeat(disk.facts); got != c.want {
			t.Errorf("%s holds a seat: %t, want %t", name, got, c.want)
		}
	}
}

func TestFoundersOnADiskAreChecked(t *testing.T) {
	t.Parallel()
	members := []Member{{ID: 1, Address: "http://h1:7080"}, {ID: 2, Address: "http://h2:7080"}}
	for founders, good := range map[string]bool{
		`[{"member":1,"incarnation":5},{"member":2,"incarnation":6}]`: true,
		`[{"member":2,"incarnation":5},{"member":1,"incarnation":6}]`: false,
		`[{"member":3,"incarnation":5}]`:                              false,
	} {
		_, err := seatingFrom(map[string]string{factFounders: founders, factIncarnation: "5"}, members)
		if (err == nil) != good {
			t.Errorf("%s: %v", founders, err)
		}
	}
}
