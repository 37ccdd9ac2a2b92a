package storage

import (
	"errors"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/snapshot"
)

func TestASlowReaderGivesWay(t *testing.T) {
	t.Parallel()
	const size = 60 << 20 // a minute at the slowest rate
	for name, c := range map[string]struct {
		age, idle time.Duration
		want      bool
	}{
		"just made":                     {0, 0, false},
		"read at the slowest rate":      {119 * time.Second, time.Second, false},
		"not read for a while":          {60 * time.Second, 60 * time.Second, true},
		"waiting for a slow connection": {59 * time.Second, 59 * time.Second, false},
		"read again and again":          {120 * time.Second, 0, true},
	} {
		if got := givesWay(c.age, c.idle, time.Minute, size); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// A reader who keeps the copy does not keep another from a newer copy without limit, and learns why it must begin anew.
// A reader who reads on in time keeps it.
func TestACopyThatIsNotReadGivesWayToANewerOne(t *testing.T) { // T36
	t.Parallel()
	m := sender(t, Options{checkpointPages: 50, snapshotPatience: time.Nanosecond})
	slow := mustSnapshot(t, m.d)
	if same, err := m.d.openSnapshot(m.last); err != nil || same.ID() != slow.ID() {
		t.Fatalf("no newer one is needed, and %v", err)
	} else {
		same.Release()
	}
	m.do(`{"op":"set","key":"new","value":1}`)
	m.save()
	newer, err := m.d.openSnapshot(m.last)
	if err != nil {
		t.Fatal(err)
	}
	if newer.ID() == slow.ID() {
		t.Error("the copy is the old one")
	}
	part := make([]byte, 100)
	if _, err := slow.ReadAt(part, 0); !errors.Is(err, snapshot.ErrGivenUp) {
		t.Errorf("the slow one reads on: %v", err)
	}
	slow.Release()
	if _, err := newer.ReadAt(part, 0); err != nil {
		t.Errorf("the release of the old copy concerns the new one: %v", err)
	}
	newer.Release()
	mustClose(t, m.d)

	m = sender(t, Options{checkpointPages: 50, snapshotPatience: time.Hour})
	mustSnapshot(t, m.d)
	m.do(`{"op":"set","key":"new","value":1}`)
	m.save()
	if _, err := m.d.openSnapshot(m.last); !errors.Is(err, ErrSnapshotBusy) {
		t.Errorf("a copy that is read in time: %v", err)
	}
}
