package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The names of the disturbances.
const (
	duringCheckpoints = "while checkpoints are written"
	duringCompaction  = "while the history is compacted"
	duringLog         = "while a follower catches up by the log"
	duringSnapshot    = "while a follower catches up by a snapshot"
)

// What the section state must reach.
const (
	memoryLimit    = 700.0 // MB
	disturbedLimit = 1.5   // of the undisturbed p99
	transferLeast  = 30.0  // MB/s
	restartLimit   = 3 * time.Second
)

// stateResult has what the section state measured on one cluster, one value for each round.
type stateResult struct {
	loaded, atEnd float64 // MB of the largest member
	calm          []quantile
	disturbed     map[string][]quantile
	ratios        map[string][]float64       // of a disturbed p99 to the undisturbed one before it
	catchUps      map[string][]time.Duration // from the start of the process, by disturbance
	transfers     []float64                  // MB/s
	restarts      []time.Duration
	lists         map[string][]time.Duration // by driver
}

// quantile has the median and the p99 of a measurement, in microseconds.
type quantile struct{ p50, p99 float64 }

func newStateResult() *stateResult {
	return &stateResult{
		disturbed: map[string][]quantile{}, ratios: map[string][]float64{}, lists: map[string][]time.Duration{},
		catchUps: map[string][]time.Duration{},
	}
}

// add adds a measurement and the undisturbed one before it.
func (r *stateResult) add(name string, calm, disturbed *hdrhistogram.Histogram) {
	before, during := quantilesOf(calm), quantilesOf(disturbed)
	r.calm = append(r.calm, before)
	r.disturbed[name] = append(r.disturbed[name], during)
	r.ratios[name] = append(r.ratios[name], during.p99/before.p99)
}

func quantilesOf(h *hdrhistogram.Histogram) quantile {
	return quantile{float64(h.ValueAtQuantile(50)), float64(h.ValueAtQuantile(99))}
}

func quantiles(h *hdrhistogram.Histogram) string {
	q := quantilesOf(h)
	return fmt.Sprintf("p50 %s p99 %s ms of %d", milliseconds(q.p50), milliseconds(q.p99), h.TotalCount())
}

// medians are the medians over the rounds.
func medians(all []quantile) string {
	var p50, p99 []float64
	for _, q := range all {
		p50, p99 = append(p50, q.p50), append(p99, q.p99)
	}
	return fmt.Sprintf("%s / %s ms", milliseconds(median(p50)), milliseconds(median(p99)))
}

// reportState adds the section to the second table, one line for each figure of Kontiki beside etcd's.
func (b *bench) reportState(plan statePlan, results map[string]*stateResult) {
	own := results["kontiki"]
	if own == nil {
		own = newStateResult()
	}
	line := func(measure string, text func(r *stateResult) string, wanted string, missed bool) {
		fact := []string{measure, "", "", wanted}
		for i, r := range []*stateResult{results["kontiki"], results["etcd"]} {
			if r != nil {
				fact[i+1] = text(r)
			}
		}
		if fact[1] != "" && missed {
			fact[3] += " MISSED"
		}
		b.report.fact(fact...)
	}
	keys := thousands(float64(plan.keys)) + " keys"
	line(keys+": memory of a node after the load, at most",
		func(r *stateResult) string { return fmt.Sprintf("%.0f MB", r.loaded) },
		fmt.Sprintf("under %.0f MB", memoryLimit), own.loaded >= memoryLimit)
	line(keys+": memory of a node at the end, at most",
		func(r *stateResult) string { return fmt.Sprintf("%.0f MB", r.atEnd) },
		fmt.Sprintf("under %.0f MB", memoryLimit), own.atEnd >= memoryLimit)
	line(fmt.Sprintf("p50 / p99 of %s writes/s, undisturbed", thousands(float64(plan.rate))),
		func(r *stateResult) string { return medians(r.calm) }, "", false)
	for _, d := range b.options.disturb {
		line(d.name, func(r *stateResult) string {
			return fmt.Sprintf("%s, %.2fx", medians(r.disturbed[d.name]), median(r.ratios[d.name]))
		}, fmt.Sprintf("p99 within %.1fx", disturbedLimit), median(own.ratios[d.name]) > disturbedLimit)
	}
	missed := fmt.Sprintf("a follower that missed %s writes, start to caught up, ", thousands(float64(plan.missed)))
	for _, d := range []string{duringLog, duringSnapshot} {
		line(missed+strings.TrimPrefix(d, "while a follower catches up "),
			func(r *stateResult) string { return inMilliseconds(medianTime(r.catchUps[d])) }, "", false)
	}
	line("the snapshot alone: copy, transfer and installation", func(r *stateResult) string {
		if len(r.transfers) == 0 {
			return ""
		}
		return fmt.Sprintf("%.0f MB/s", median(r.transfers))
	}, fmt.Sprintf("at least %.0f MB/s", transferLeast), median(own.transfers) < transferLeast)
	line(keys+": restart to ready", func(r *stateResult) string { return inMilliseconds(medianTime(r.restarts)) },
		fmt.Sprintf("under %d ms", restartLimit.Milliseconds()), medianTime(own.restarts) >= restartLimit)
	b.reportLists(results)
}

// reportLists adds a line for each driver of Kontiki beside etcd's client.
func (b *bench) reportLists(results map[string]*stateResult) {
	times := func(system, driver string) []time.Duration {
		if r := results[system]; r != nil {
			return r.lists[driver]
		}
		return nil
	}
	text := func(all []time.Duration) string {
		if len(all) == 0 {
			return ""
		}
		return milliseconds(float64(medianTime(all).Microseconds())) + " ms"
	}
	theirs := times("etcd", etcdDriver)
	for _, driver := range []string{leanName, sdkName} {
		ours := times("kontiki", driver)
		wanted := ""
		if len(ours) > 0 && len(theirs) > 0 {
			ratio := float64(medianTime(theirs)) / float64(medianTime(ours))
			wanted = fmt.Sprintf("at least as fast: %.2fx", ratio)
			if ratio < 1 {
				wanted += " MISSED"
			}
		}
		measure := fmt.Sprintf("list of %s keys through %s", thousands(listKeys), driver)
		b.report.fact(measure, text(ours), text(theirs), wanted)
	}
}
