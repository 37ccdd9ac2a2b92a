package main

import (
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

func aResult(t *testing.T, operations int, micros int64) result {
	t.Helper()
	h := hdrhistogram.New(1, 1_000_000, 3)
	if err := h.RecordValue(micros); err != nil {
		t.Fatal(err)
	}
	return result{
		operations: operations, elapsed: time.Second, latency: h, failures: &failures{},
		servers: time.Duration(operations) * 30 * time.Microsecond, clients: time.Duration(operations) * 7 * time.Microsecond,
	}
}

func TestReportShowsMediansAndRatios(t *testing.T) {
	t.Parallel()
	w := workload{name: "put", clients: 64, wanted: map[string]float64{leanName: 1.5, sdkName: 2}}
	var r report
	for _, operations := range []int{9_000, 12_000, 10_000} {
		r.add(w, etcdDriver, aResult(t, operations, 6000))
	}
	for _, operations := range []int{40_000, 15_000, 17_000} {
		r.add(w, leanName, aResult(t, operations, 3000))
		r.add(w, sdkName, aResult(t, operations, 3000))
	}
	slow := workload{name: "put", clients: 1, wanted: map[string]float64{leanName: 1.5}}
	r.add(slow, etcdDriver, aResult(t, 1000, 1000))
	r.add(slow, leanName, aResult(t, 1600, 1500))
	r.fact("memory of an idle node, at most", "25.0 MB", "34.8 MB", "under 40 MB")
	var out strings.Builder
	if err := r.print(&out, true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| put | 64 | plain HTTP | 17,000 | 3.00 | 3.00 | 30+7 | 10,000 | 6.00 | 6.00 | 30+7 | 1.70x | 1.5x |",
		"| put | 64 | node/client | 17,000 | 3.00 | 3.00 | 30+7 | 10,000 | 6.00 | 6.00 | 30+7 | 1.70x | 2.0x MISSED |",
		"| put | 1 | plain HTTP | 1,600 | 1.50 | 1.50 | 30+7 | 1,000 | 1.00 | 1.00 | 30+7 | 1.60x | 1.5x, p99 MISSED |",
		"| memory of an idle node, at most | 25.0 MB | 34.8 MB | under 40 MB |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks\n%s\nin\n%s", want, out.String())
		}
	}
}

func TestMedianOfAnEvenCount(t *testing.T) {
	t.Parallel()
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("got %v, want 2.5", got)
	}
}

func TestOptionsRefuseNonsense(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"-only put", "-rate 0", "-state-keys 10", "-state-keys 70000", "-soak 1s",
		"-systems consul", "-clients 0", "-clients x", "-rounds 0", "-o html", "-seconds 0",
	} {
		if _, err := parseOptions(strings.Fields(args)); err == nil {
			t.Errorf("%s was accepted", args)
		}
	}
	o, err := parseOptions([]string{"-short", "-only", "reads,puts", "-kills", "9"})
	if err != nil || len(o.only) != 2 || o.only[0].name != "puts" || o.kills != 9 || o.roundCount != 1 {
		t.Errorf("got %+v, %v", o, err)
	}
}
