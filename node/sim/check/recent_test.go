package check

import (
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestRecentReads(t *testing.T) { // T42, T43
	t.Parallel()
	for _, c := range []struct {
		name    string
		applied raft.Index // by the reader; entries 1, 2 and 3 were applied somewhere at 1s, 2s and 3s, and now it is 10s
		age     time.Duration
		broken  bool
	}{
		{"everything", 3, 0, false},
		{"what is missing is as young as the age allows", 2, 7 * time.Second, false},
		{"what is missing is older", 2, 7*time.Second - 1, true},
		{"more is missing", 0, 8 * time.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 2)
			s.now = 10 * time.Second
			s.w.Committed.applied = []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}
			f := s.w.RecentRead(1, &Operation{}, c.applied, s.Moment(c.age))
			if (f != nil) != c.broken {
				t.Errorf("broken: %v, want %v", f, c.broken)
			}
		})
	}
}

func TestReadsThatWaited(t *testing.T) { // T38, T41
	t.Parallel()
	w := newStage(t, 1).w
	for applied, broken := range map[raft.Index]bool{4: true, 5: false, 6: false} {
		if f := w.LinearizableRead(1, 5, applied); (f != nil) != broken {
			t.Errorf("a linearizable read that applied %d of 5: %v", applied, f)
		}
		if f := w.BoundedRead(1, 5, applied); (f != nil) != broken {
			t.Errorf("a read that wants revision 5 and applied %d: %v", applied, f)
		}
	}
}
