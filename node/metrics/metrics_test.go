package metrics

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Each measurement reaches its own metric and no other, and every metric is collected.
func TestMeasurementsReachTheirMetrics(t *testing.T) {
	t.Parallel()
	m, registry := New(time.Now, nil), prometheus.NewRegistry()
	registry.MustRegister(m)
	m.Proposed(1, 2, 3)
	for range 4 {
		m.Saved(time.Millisecond)
	}
	for range 5 {
		m.Committed(time.Millisecond)
	}
	for range 6 {
		m.Read(time.Millisecond)
	}
	for range 7 {
		m.Applied(time.Millisecond)
	}
	for range 8 {
		m.LeaderChanged()
		m.ElectionStarted(true)
	}
	for range 9 {
		m.ElectionStarted(false)
		m.ElectionWon()
		m.MessageRefused("malformed")
	}
	m.ElectionWon()
	for range 10 {
		m.Checkpointed(time.Millisecond)
		m.SnapshotSent()
		m.SnapshotInstalled()
	}
	m.SnapshotInstalled()
	m.SnapshotFailed()
	m.StateChecked("same")
	m.StateDiffers(true)
	m.RowDamaged()
	for range 11 {
		m.ObserveRoundTrip(2, time.Millisecond)
	}
	m.ObserveRoundTrip(3, time.Second)
	want := map[string]float64{
		"kontiki_proposals_total done": 1, "kontiki_proposals_total unknown": 2, "kontiki_proposals_total refused": 3,
		"kontiki_fsync_duration_seconds": 4, "kontiki_commit_duration_seconds": 5,
		"kontiki_read_barrier_duration_seconds": 6, "kontiki_apply_duration_seconds": 7, "kontiki_leader_changes_total": 8,
		"kontiki_elections_total asked": 8, "kontiki_elections_total started": 9, "kontiki_elections_total won": 10,
		"kontiki_messages_refused_total malformed": 9, "kontiki_peer_rtt_seconds 2": 11, "kontiki_peer_rtt_seconds 3": 1,
		"kontiki_disk_slow": 0, "kontiki_oldest_unsynced_append_seconds": 0,
		"kontiki_checkpoint_duration_seconds": 10, "kontiki_snapshots_total sent": 10,
		"kontiki_state_checks_total same": 1, "kontiki_state_differs": 1,
		"kontiki_damaged_rows_total":        1,
		"kontiki_snapshots_total installed": 11, "kontiki_snapshots_total failed": 1,
	}
	wantMetrics(t, registry, want)
	if a, b, c := m.RoundTripMs(2), m.RoundTripMs(3), m.RoundTripMs(4); a != 1 || b != 1000 || c != 0 {
		t.Errorf("the last round trips took %v, %v and %v ms, want 1, 1000 and none", a, b, c)
	}
}

// wantMetrics compares the metrics of a registry with what they must be.
func wantMetrics(t *testing.T, registry *prometheus.Registry, want map[string]float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, one := range f.GetMetric() {
			name := f.GetName()
			for _, label := range one.GetLabel() {
				name += " " + label.GetValue()
			}
			got := one.GetCounter().GetValue() + one.GetGauge().GetValue() + float64(one.GetHistogram().GetSampleCount())
			if expected, known := want[name]; !known || got != expected {
				t.Errorf("%s is %v, want %v", name, got, expected)
			}
			delete(want, name)
		}
	}
	if len(want) > 0 {
		t.Errorf("not collected: %v", want)
	}
}

// The rates are those since the last time that they were asked for, at least a second ago.
func TestTheRatesAreThoseSinceTheLastQuestion(t *testing.T) {
	t.Parallel()
	now := time.Time{}.Add(time.Hour)
	m := New(func() time.Time { return now }, nil)
	work := func(writes, reads int) {
		for range writes {
			m.Committed(10 * time.Millisecond)
		}
		for range reads {
			m.Read(20 * time.Millisecond)
		}
	}
	check := func(what string, writes, reads float64) {
		t.Helper()
		if _, r := m.Summary(); r.Writes != writes || r.Reads != reads {
			t.Errorf("%s: %+v, want %v writes and %v reads", what, r, writes, reads)
		}
	}
	work(8, 4)
	check("too soon", 0, 0)
	now = now.Add(2 * time.Second)
	check("after two seconds", 4, 2)
	work(3, 6)
	now = now.Add(time.Second / 2)
	check("asked again soon", 4, 2)
	now = now.Add(time.Second / 2)
	check("a second later", 3, 6)
	now = now.Add(time.Second)
	check("idle", 0, 0)
	m.Saved(30 * time.Millisecond)
	l, _ := m.Summary()
	if l.Write.Count != 11 || l.Read.Count != 10 || l.Fsync.Count != 1 ||
		l.Write.P50 > l.Read.P50 || l.Read.P50 > l.Fsync.P50 {
		t.Errorf("the latencies are %+v", l)
	}
}

// A save that hangs is visible while it does, and not only when it ends.
func TestASaveThatHangsIsVisible(t *testing.T) { // T53
	t.Parallel()
	age, registry := 3*time.Second, prometheus.NewRegistry()
	registry.MustRegister(New(time.Now, func() time.Duration { return age }))
	for _, want := range []float64{3, 0} {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := -1.0
		for _, f := range families {
			if f.GetName() == "kontiki_oldest_unsynced_append_seconds" {
				got = f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		if got != want {
			t.Errorf("the age is %v, want %v", got, want)
		}
		age = 0
	}
}
