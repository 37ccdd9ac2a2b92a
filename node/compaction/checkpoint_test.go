package compaction

import (
	"testing"
	"time"
)

func TestCheckpointsAreDue(t *testing.T) {
	t.Parallel()
	l := Checkpoints{Bytes: 1000, After: 10 * time.Second, Rest: 4}
	now := time.Unix(1000, 0)
	ago := func(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }
	for _, c := range []struct {
		name    string
		changes Changes
		want    time.Duration
	}{
		{"nothing changed", Changes{Bytes: 5000, Since: ago(100)}, Never},
		{"the first change", Changes{Entries: 1, Bytes: 10, Since: now}, 10 * time.Second},
		{"a change of a while ago", Changes{Entries: 1, Bytes: 10, Since: ago(7)}, 3 * time.Second},
		{"an old change", Changes{Entries: 1, Bytes: 10, Since: ago(11)}, 0},
		{"almost enough bytes", Changes{Entries: 1, Bytes: 999, Since: ago(9)}, time.Second},
		{"enough bytes", Changes{Entries: 1, Bytes: 1000, Since: now}, 0},
		{"the disk is nearly low", Changes{Entries: 1, Bytes: 10, Since: now, Pressed: true}, 0},
		{"nothing changed on such a disk", Changes{Pressed: true}, Never},
		{"the last one was slow", Changes{
			Entries: 1, Bytes: 1000, Since: now, Ended: ago(1), Took: 2 * time.Second,
		}, 7 * time.Second},
		{"it has rested", Changes{Entries: 1, Bytes: 1000, Since: now, Ended: ago(8), Took: 2 * time.Second}, 0},
		{"the rest is shorter than the wait", Changes{
			Entries: 1, Bytes: 10, Since: ago(3), Ended: ago(3), Took: time.Second,
		}, 7 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := l.Wait(now, c.changes); got != c.want {
				t.Errorf("it waits %v, want %v", got, c.want)
			}
		})
	}
}
