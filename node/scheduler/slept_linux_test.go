package scheduler

import (
	"testing"
	"time"
)

// What the clocks of the machine show while it does not sleep is no sleep, and a sleep is recorded once.
func TestSleptHasTheSleepsAndNotTheNoise(t *testing.T) { // T42
	t.Parallel()
	m := &Machine{}
	first := m.Slept()
	for range 1000 {
		if again := m.Slept(); again != first {
			t.Fatalf("slept %v, then %v, and did not sleep", first, again)
		}
	}
	if boot := readClock(clockBoottime); boot < readClock(clockMonotonic)-sleptSlack || boot == 0 {
		t.Errorf("the clock that goes on while the machine sleeps shows %v", boot)
	}
	m.noteSlept(first + time.Hour)
	m.noteSlept(first + time.Hour + sleptSlack)
	m.noteSlept(first + time.Minute)
	if got := time.Duration(m.slept.Load()); got != first+time.Hour {
		t.Errorf("slept %v after a sleep of an hour, at first %v", got, first)
	}
}
