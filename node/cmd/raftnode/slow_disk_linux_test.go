package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// slowSyncs returns the program that makes each sync of a node's disk take so much longer: strace holds the system call
// up. It skips the test if this machine has no strace, or forbids it.
func slowSyncs(t *testing.T, delay time.Duration) []string {
	t.Helper()
	wrap := []string{
		"strace", "-D", "-f", "-qq", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-e",
		"inject=fsync,fdatasync:delay_exit=" + strconv.FormatInt(delay.Microseconds(), 10), "-o", os.DevNull,
	}
	if output, err := exec.Command(wrap[0], append(slices.Clone(wrap[1:]), "true")...).CombinedOutput(); err != nil {
		t.Skipf("strace: %v %s", err, output)
	}
	return wrap
}

// campaigns returns how many elections the nodes have started.
func (f *fleet) campaigns() (total float64) {
	f.t.Helper()
	for i := range f.api {
		var text string
		if err := f.get(i, "/metrics", &text); err != nil {
			f.t.Fatal(err)
		}
		for line := range strings.Lines(text) {
			if rest, is := strings.CutPrefix(line, `kontiki_elections_total{result="started"} `); is {
				n, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
				if err != nil {
					f.t.Fatal(err)
				}
				total += n
			}
		}
	}
	return total
}

// Slow is not dead: with the timeouts of the operator, no leader is replaced while the disks of all nodes take 5, 50 or
// 500 ms for a sync and 16 clients write. A write waits for a save that is in progress, and for one of its own.
func TestSlowDisksCostNoElection(t *testing.T) { // T53
	t.Parallel()
	if os.Getenv("SLOW_DISKS") == "" {
		t.Skip("set SLOW_DISKS=1 on a machine with nothing else to do; the scenario slow-disks.txt simulates it")
	}
	for _, delay := range []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 500 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			f := newFleet(t, func(f *fleet) {
				f.wrap = slowSyncs(t, delay)
				f.flags = []string{"--heartbeat-interval", "100ms", "--election-timeout", "1s"}
			})
			leader := f.leader()
			f.until("a write", func() bool { return f.put(leader, "first", "1") })
			before, took := f.campaigns(), f.writeFor(leader, 16, 4*time.Second)
			if elections := f.campaigns() - before; elections != 0 {
				t.Errorf("%v elections", elections)
			}
			slices.Sort(took)
			t.Logf("%d puts, p50 %v, p99 %v", len(took), took[len(took)/2], took[len(took)*99/100])
			if fastest := took[0]; fastest < delay {
				t.Errorf("a write took %v, so the disk is not slow", fastest)
			}
		})
	}
}

// writeFor has clients write to a node for some time, and returns how long each write took. Each must succeed.
func (f *fleet) writeFor(node, clients int, span time.Duration) []time.Duration {
	f.t.Helper()
	var mu sync.Mutex
	var all []time.Duration
	var running sync.WaitGroup
	end := time.Now().Add(span)
	for c := range clients {
		running.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				began := time.Now()
				if !f.put(node, fmt.Sprintf("key/%d/%d", c, n%10), "value") {
					f.t.Errorf("write %d of client %d failed", n, c)
					return
				}
				mu.Lock()
				all = append(all, time.Since(began))
				mu.Unlock()
			}
		})
	}
	running.Wait()
	return all
}
