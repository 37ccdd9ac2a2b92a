package node

import (
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestACheckIsDue(t *testing.T) { // T45
	t.Parallel()
	minute := time.Minute.Microseconds()
	now := 1000 * minute
	for name, c := range map[string]struct {
		last, began int64
		want        bool
	}{
		"an interval after the last one":            {now - minute, now - 5*minute, true},
		"not before":                                {now - minute + 1, now - 5*minute, false},
		"at once in a new term if it is overdue":    {now - minute, now, true},
		"not for a new term alone":                  {now - minute + 1, now, false},
		"a leader's clock was ahead, a new term":    {now + 60*minute, now - minute + 1, false},
		"a leader's clock was ahead, one term long": {now + 60*minute, now - minute, true},
	} {
		if got := checkDue(now, c.last, c.began, time.Minute); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// A leader's clock is set back by an hour, so that the term and the last check are in the future: the next check is due
// after an interval, and not after the hour.
func TestAClockThatIsSetBackPutsNoCheckOff(t *testing.T) { // T45
	t.Parallel()
	now := int64(1e12)
	p := checkPace{began: now + time.Hour.Microseconds()}
	last := now + time.Hour.Microseconds()
	if p.due(now, last, time.Minute) {
		t.Error("a check is due at once")
	}
	if !p.due(now+time.Minute.Microseconds(), last, time.Minute) {
		t.Error("no check is due after an interval")
	}
}

func TestTheLastCheckAtAStart(t *testing.T) {
	t.Parallel()
	entry := func(kind raft.EntryType, at int64) raft.Entry { return raft.Entry{Type: kind, Timestamp: at} }
	command, check := entry(raft.EntryCommand, 5), entry(raft.EntryCheck, 7)
	for name, c := range map[string]struct {
		applied []raft.Entry
		want    int64
	}{
		"the last one":             {[]raft.Entry{entry(raft.EntryCheck, 3), check, entry(raft.EntryCommand, 8)}, 7},
		"none since the log began": {[]raft.Entry{command, entry(raft.EntryCommand, 8)}, 5},
		"no log":                   {nil, 99},
	} {
		if got := lastCheck(c.applied, 99); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
