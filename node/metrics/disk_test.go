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
