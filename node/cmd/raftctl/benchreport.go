package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// benchReport is the JSON output of bench.
type benchReport struct {
	Op        string           `json:"op"`
	Clients   int              `json:"clients"`
	Size      int              `json:"size"`
	Done      int64            `json:"done"` // acknowledged
	Seconds   float64          `json:"seconds"`
	PerSecond float64          `json:"per_second"`
	MinMs     float64          `json:"min_ms"`
	P50Ms     float64          `json:"p50_ms"`
	P90Ms     float64          `json:"p90_ms"`
	P99Ms     float64          `json:"p99_ms"`
	P999Ms    float64          `json:"p999_ms"`
	MaxMs     float64          `json:"max_ms"`
	Errors    map[string]int64 `json:"errors"`
	Unknown   int64            `json:"unknown"` // outcome unknown, counted apart
	Verified  int              `json:"verified,omitempty"`
	Lost      int              `json:"lost"`
}

func (b *bench) summary() benchReport {
	ms := func(micros int64) float64 { return float64(micros) / 1000 }
	r := benchReport{
		Op: b.op, Clients: b.clients, Size: b.size, Done: b.all.TotalCount(), Seconds: b.elapsed.Seconds(),
		MinMs: ms(b.all.Min()), P50Ms: ms(b.all.ValueAtPercentile(50)), P90Ms: ms(b.all.ValueAtPercentile(90)),
		P99Ms: ms(b.all.ValueAtPercentile(99)), P999Ms: ms(b.all.ValueAtPercentile(99.9)), MaxMs: ms(b.all.Max()),
		Errors: map[string]int64{}, Unknown: b.unknown, Lost: len(b.lost),
	}
	if r.Done == 0 {
		r.MinMs = 0
	}
	if b.elapsed > 0 {
		r.PerSecond = float64(r.Done) / r.Seconds
	}
	for code, n := range b.errors {
		r.Errors[string(code)] = n
	}
	if b.verify {
		r.Verified = len(b.acked)
	}
	return r
}

func (b *bench) printReport() error {
	r := b.summary()
	if b.output == "json" || b.output == "ndjson" {
		return b.printJSON(r)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%ss %s in %.1f s   %s op/s   %s   %s unknown\n", r.Op, grouped(r.Done), r.Seconds,
		grouped(int64(r.PerSecond)), errorsText(r.Errors), grouped(r.Unknown))
	if r.Done > 0 {
		fmt.Fprintf(&text, "  min %s   p50 %s   p90 %s   p99 %s   p99.9 %s   max %s ms\n",
			short(r.MinMs), short(r.P50Ms), short(r.P90Ms), short(r.P99Ms), short(r.P999Ms), short(r.MaxMs))
		text.WriteString(bars(b.all))
	}
	if b.verify {
		fmt.Fprintf(&text, "  read back %s acknowledged writes: %s lost\n", grouped(r.Verified), grouped(r.Lost))
	}
	return b.write(text.String())
}

func errorsText(errors map[string]int64) string {
	var sum int64
	var parts []string
	for code, n := range errors {
		sum += n
		parts = append(parts, fmt.Sprintf("%s %s", grouped(n), code))
	}
	if sum == 0 {
		return "0 errors"
	}
	slices.Sort(parts)
	return fmt.Sprintf("%s errors (%s)", grouped(sum), strings.Join(parts, ", "))
}

// short writes milliseconds without the unit.
func short(ms float64) string {
	if ms < 10 {
		return fmt.Sprintf("%.2f", ms)
	}
	return fmt.Sprintf("%.1f", ms)
}

// bars shows the distribution of the latencies: one line per power of two milliseconds that has any.
func bars(h *hdrhistogram.Histogram) string {
	const width = 50
	var limits []int64
	var counts []int64
	limit := int64(125)
	for limit < h.Min() {
		limit *= 2
	}
	for ; ; limit *= 2 {
		limits, counts = append(limits, limit), append(counts, 0)
		if limit >= h.Max() {
			break
		}
	}
	for _, bar := range h.Distribution() {
		i, _ := slices.BinarySearch(limits, bar.To)
		counts[min(i, len(counts)-1)] += bar.Count
	}
	most := slices.Max(counts)
	var b strings.Builder
	for i, n := range counts {
		bar := strings.Repeat("#", int(n*width/max(most, 1)))
		if n > 0 && bar == "" {
			bar = "."
		}
		edge := fmt.Sprintf("<%g", float64(limits[i])/1000)
		fmt.Fprintf(&b, "  %7s ms  %-*s %s\n", edge, width, bar, grouped(n))
	}
	return b.String()
}

// startProgress shows the progress of the run on stderr until stop is closed: in place on a terminal, otherwise a line
// every five seconds. The returned channel is closed after the last line.
func (b *bench) startProgress(stop <-chan struct{}) <-chan struct{} {
	inPlace := isTerminal(b.stderr)
	every := 5 * time.Second
	if inPlace {
		every = 200 * time.Millisecond
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		begun, last := time.Now(), time.Now()
		for {
			select {
			case <-stop:
				if inPlace {
					b.warn("\r\x1b[K")
				}
				return
			case now := <-ticker.C:
				line := b.progressLine(now.Sub(begun), now.Sub(last))
				last = now
				if inPlace {
					b.warn("\r\x1b[K%s", line)
				} else {
					b.warn("%s\n", line)
				}
			}
		}
	}()
	return finished
}

// progressLine is one line of progress: [#####-----]  45 %   1,204 op/s   p99 8.4 ms.
func (b *bench) progressLine(elapsed, since time.Duration) string {
	part := elapsed.Seconds() / b.duration.Seconds()
	if b.total > 0 {
		part = float64(b.done.Load()) / float64(b.total)
	}
	part = min(part, 1)
	b.mu.Lock()
	count, p99 := b.recently.TotalCount(), b.recently.ValueAtPercentile(99)
	failures := b.unknown
	for _, n := range b.errors {
		failures += n
	}
	b.recently.Reset()
	b.mu.Unlock()
	filled := int(part * 20)
	line := fmt.Sprintf("[%s%s]  %2.0f %%   %s op/s   p99 %s", strings.Repeat("#", filled),
		strings.Repeat("-", 20-filled), part*100, grouped(int64(float64(count)/since.Seconds())), millis(float64(p99)/1000))
	if failures > 0 {
		line += fmt.Sprintf("   %s not acknowledged", grouped(failures))
	}
	return line
}
