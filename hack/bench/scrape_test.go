package main

import (
	"strings"
	"testing"
)

func TestMetricsAreReadByNameAndLabels(t *testing.T) {
	t.Parallel()
	got, err := parseMetrics(strings.NewReader(`# HELP go_goroutines Number of goroutines.
# TYPE go_goroutines gauge
go_goroutines 27
kontiki_snapshots_total{result="installed"} 2
kontiki_request_duration_seconds_bucket{method="GET",route="/a b",le="+Inf"} 1.5e+06

`))
	if err != nil {
		t.Fatal(err)
	}
	if got[goRoutines] != 27 || got[snapshotsHere] != 2 || got[checkpointsDone] != 0 ||
		got[`kontiki_request_duration_seconds_bucket{method="GET",route="/a b",le="+Inf"}`] != 1.5e6 {
		t.Errorf("got %v", got)
	}
	for _, broken := range []string{"go_goroutines", "go_goroutines many"} {
		if got, err := parseMetrics(strings.NewReader(broken)); err == nil {
			t.Errorf("%q is read as %v", broken, got)
		}
	}
}
