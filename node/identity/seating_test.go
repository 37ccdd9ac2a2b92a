package identity

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
		in     *Seating
		seated string
		want   bool
	}{
		"a founder":                    {1, &Seating{Incarnation: 11, Founders: founders}, "", true},
		"another disk of the founder":  {1, &Seating{Incarnation: 12, Founders: founders}, "", false},
		"a late member":                {2, &Seating{Incarnation: 11, Founders: founders}, "", false},
		"a late member with a seat":    {2, &Seating{Incarnation: 11, Founders: founders}, "true", true},
		"a member before the founding": {1, nil, "", false},
	} {
		facts := saved(t, &Assignment{Identity{c.id, "c"}, members}, c.in)
		facts[factSeated] = c.seated
		if got := HoldsSeat(facts); got != c.want {
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
