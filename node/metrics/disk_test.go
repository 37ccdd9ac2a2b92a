package metrics

import (
	"testing"
	"time"
)

// fsyncs is a series of saves: count of them, one every so often, of which the first few take long.
type fsyncs struct {
	count, slow int
	every       time.Duration
	took        time.Duration // the slow ones; the others take 1 ms
}

func TestADiskIsSlowOnlyIfEnoughFsyncsSaySo(t *testing.T) {
	t.Parallel()
	const (
		ms   = time.Millisecond
		long = 150 * ms
	)
	for name, c := range map[string]struct {
		fsyncs
		want bool
	}{
		"sixteen writes after one slow first fsync": {fsyncs{16, 1, 2 * time.Second, 3 * long}, false},
		"a burst after a stall":                     {fsyncs{300, 9, ms, long}, false},
		"nothing but one slow fsync":                {fsyncs{1, 1, time.Second, long}, false},
		"nine slow ones":                            {fsyncs{9, 9, 3 * time.Second, long}, false},
		"one of a hundred":                          {fsyncs{100, 1, 250 * ms, long}, false},
		"three of a hundred":                        {fsyncs{100, 3, 250 * ms, long}, true},
		"most of a few":                             {fsyncs{12, 7, 2 * time.Second, long}, true},
		"a slow first half minute":                  {fsyncs{900, 300, 60 * ms, long}, true},
	} {
		now := time.Time{}.Add(time.Hour)
		m := Metrics{now: func() time.Time { return now }}
		for i := range c.count {
			took := time.Millisecond
			if i < c.slow {
				took = c.took
			}
			m.fsyncs.add(took, now)
			now = now.Add(c.every)
		}
		if got := m.SlowDisk(); got != c.want {
			t.Errorf("%s: got %v, want %v; %+v over %v", name, got, c.want, m.fsyncs.quantiles(now), m.fsyncs.covered())
		}
		now = now.Add(10 * time.Minute)
		if m.SlowDisk() {
			t.Errorf("%s: the disk is still slow after ten minutes without an fsync", name)
		}
	}
}

// A few seconds remain a few seconds where a half minute ends in them.
func TestABurstAtTheTurnOfTheHalfMinuteIsNoVerdict(t *testing.T) {
	t.Parallel()
	start := time.Time{}.Add(time.Hour)
	now := start
	m := Metrics{now: func() time.Time { return now }}
	m.fsyncs.add(time.Millisecond, now)
	now = start.Add(62 * time.Second)
	m.SlowDisk() // another half minute begins
	for i := range 30 {
		now = start.Add(88*time.Second + time.Duration(i)*200*time.Millisecond)
		m.fsyncs.add(time.Second, now)
		if m.SlowDisk() {
			t.Fatalf("the disk is slow after %d fsyncs within %v: %+v", i+1, m.fsyncs.covered(), m.fsyncs.quantiles(now))
		}
	}
}
