package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kontiki-dev/kontiki/node/api"
)

// onSmallDisks gives each node of a fleet a disk of its own, or skips the test.
func onSmallDisks(f *fleet, size string) {
	f.t.Helper()
	for i := range f.running {
		if err := os.MkdirAll(f.data(i), 0o700); err != nil {
			f.t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", f.data(i), "tmpfs", 0, "mode=700,size="+size); err != nil {
			f.t.Skipf("mounting a small disk: %v (this test wants root)", err)
		}
		f.t.Cleanup(func() { _ = unix.Unmount(f.data(i), unix.MNT_DETACH) })
	}
}

// free returns the free bytes of a node's disk.
func (f *fleet) free(i int) int64 {
	f.t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(f.data(i), &fs); err != nil {
		f.t.Fatal(err)
	}
	return int64(fs.Bavail) * fs.Bsize
}

// fill leaves so many bytes free on a node's disk, by a file of another program.
func (f *fleet) fill(i int, leave int64) {
	f.t.Helper()
	if err := os.WriteFile(f.ballast(i), make([]byte, max(0, f.free(i)-leave)), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// fillWhole leaves no byte free on a node's disk, whatever the node takes or frees meanwhile.
func (f *fleet) fillWhole(i int) {
	f.t.Helper()
	if err := os.WriteFile(f.ballast(i), make([]byte, 512<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		f.t.Fatal(err)
	}
}

func (f *fleet) ballast(i int) string { return filepath.Join(f.data(i), "ballast") }

// do sends a request, and returns the status of the answer and its error; 0 if there is no answer.
func (f *fleet) do(i int, method, key, value string) (int, string) {
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+f.api[i]+"/api/v1/kv/"+key, strings.NewReader(value))
	if err != nil {
		return 0, err.Error()
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text := make([]byte, 1000)
	n, _ := response.Body.Read(text)
	return response.StatusCode, string(text[:n])
}

// wantRunning wants every process to run.
func (f *fleet) wantRunning() {
	f.t.Helper()
	for i, c := range f.running {
		if err := c.Process.Signal(unix.Signal(0)); err != nil {
			f.t.Fatalf("node %d ended: %v", i+1, err)
		}
		var view api.ClusterView
		f.until("it answers", func() bool { return f.get(i, "/api/v1/cluster", &view) == nil })
	}
}

func smallFleet(t *testing.T, flags ...string) *fleet {
	return newFleet(t, func(f *fleet) {
		onSmallDisks(f, "192m")
		f.flags = append([]string{
			"--disk-reserve-bytes", "64MiB", "--checkpoint-interval", "300ms", "--log-entries", "50",
			"--history-bytes", "1MiB", "--history-revisions", "10",
		}, flags...)
	})
}

// A burst fills the disks up to the reserve before a checkpoint is due by its time. What it leaves holds the
// checkpoint, so that deletes make room for other data, without any from outside.
func TestABurstThatFillsTheDisksLeavesRoomForItsCheckpoint(t *testing.T) {
	f := smallFleet(t, "--checkpoint-interval", "30s")
	f.leader()
	value, status, written := strings.Repeat("v", 200_000), 200, 0
	for ; status == 200 && written < 4000; written++ {
		status, _ = f.do(written%3, http.MethodPut, fmt.Sprint(written), value)
	}
	t.Logf("%d keys are written; %d, %d and %d bytes are free", written, f.free(0), f.free(1), f.free(2))
	f.until("what is written is in the checkpoints", func() bool {
		var s api.ClusterStatus
		saved := 0
		for i := 0; f.get(0, "/api/status", &s) == nil && i < len(s.Nodes); i++ {
			if n := &s.Nodes[i]; n.CheckpointIndex > 0 && n.LastApplied < n.CheckpointIndex+20 {
				saved++
			}
		}
		return saved == len(f.running)
	})
	for i := range written {
		if status, text := f.do(i%3, http.MethodDelete, fmt.Sprint(i), ""); status != 200 {
			t.Fatalf("deleting: %d %s", status, text)
		}
	}
	f.until("there is room again", func() bool { return f.put(0, "after", value) })
	f.wantRunning()
}

// Data fills the disks up to the reserve. Every node stays, refuses what adds data, deletes, and starts again; when the
// disks are larger, the cluster goes on, and nothing that was acknowledged is lost.
func TestDataThatFillsTheDisksEndsNoNode(t *testing.T) {
	f := smallFleet(t)
	f.leader()
	value := strings.Repeat("v", 800_000)
	acknowledged, status, text := 0, 200, ""
	for ; status == 200 && acknowledged < 1000; acknowledged++ {
		status, text = f.do(acknowledged%3, http.MethodPut, fmt.Sprint(acknowledged), value)
	}
	acknowledged--
	t.Logf("%d keys are written; %d, %d and %d bytes are free", acknowledged, f.free(0), f.free(1), f.free(2))
	if status != 507 || !strings.Contains(text, string(api.CodeQuotaExceeded)) || !strings.Contains(text, "disk") {
		t.Fatalf("after %d keys: %d %s", acknowledged, status, text)
	}
	f.wantRunning()
	if status, text := f.do(1, http.MethodDelete, "0", ""); status != 200 {
		t.Errorf("deleting: %d %s", status, text)
	}
	for i := range f.running { // restarts on full disks
		f.kill(i)
		f.start(i)
		f.until("it answers", func() bool { var c api.ClusterView; return f.get(i, "/api/v1/cluster", &c) == nil })
	}
	f.leader()
	f.until("deleting works after the restarts", func() bool {
		status, _ := f.do(2, http.MethodDelete, "1", "")
		return status == 200
	})
	// The restarts gave a little back, so that a few may find room again: fewer than the reserve would hold.
	for taken := 0; ; taken++ {
		status, text := f.do(2, http.MethodPut, "more", value)
		if status == 507 {
			break
		}
		if status != 200 || taken == 20 {
			t.Fatalf("putting after the restarts: %d %s, after %d were taken", status, text, taken)
		}
	}
	f.wantRunning()
	for i := range f.running {
		if err := unix.Mount("tmpfs", f.data(i), "tmpfs", unix.MS_REMOUNT, "size=512m"); err != nil {
			t.Fatal(err)
		}
	}
	f.until("puts work again", func() bool { return f.put(0, "more", value) })
	for i := 2; i < acknowledged; i++ {
		var got string
		if err := f.get(i%3, fmt.Sprintf("/api/v1/kv/%d", i), &got); err != nil || got != value {
			t.Errorf("key %d was acknowledged, and is %.20q, %v", i, got, err)
		}
	}
	f.wantRunning()
}

// Another program fills the disk of one node, below the floor of the reserve: the others go on, and no client notices.
// Then that of most nodes: what adds data is refused, until the files are removed.
func TestAnotherProgramThatFillsADiskEndsNoNode(t *testing.T) {
	f := smallFleet(t)
	written := 0
	write := func(count int) {
		t.Helper()
		for range count {
			written++
			f.until("a put is acknowledged", func() bool {
				return f.put(written%3, fmt.Sprint(written%20), strings.Repeat("v", 20_000))
			})
		}
	}
	victim := f.leader()
	write(50)
	f.fill(victim, 8<<20)
	f.until("its disk is full", func() bool {
		var s api.ClusterStatus
		return f.get(victim, "/api/status", &s) == nil && hasAlarm(s, victim+1, api.AlarmFull)
	})
	write(300)
	f.wantRunning()
	if f.leader() == victim {
		t.Errorf("node %d leads on, and its disk is full", victim+1)
	}
	for i := range f.running {
		if i != victim {
			f.fill(i, 48<<20) // low; below 63 % of the reserve nothing that adds data is taken, also if it is in the log
		}
	}
	f.until("puts are refused", func() bool {
		status, _ := f.do(0, http.MethodPut, "x", "1")
		return status == 507
	})
	if status, text := f.do(victim, http.MethodDelete, "1", ""); status != 200 {
		t.Errorf("deleting: %d %s", status, text)
	}
	f.wantRunning()
	for i := range f.running {
		if err := os.Remove(f.ballast(i)); err != nil {
			t.Fatal(err)
		}
	}
	write(50)
	f.until("all have the same", func() bool {
		var a, b api.ClusterView
		return f.get(victim, "/api/v1/cluster", &a) == nil && f.get((victim+1)%3, "/api/v1/cluster", &b) == nil &&
			a.LastApplied == b.LastApplied
	})
	f.wantRunning()
}

func hasAlarm(s api.ClusterStatus, id int, level api.AlarmLevel) bool {
	for _, n := range s.Nodes {
		for _, alarm := range n.Alarms {
			if n.ID == uint64(id) && alarm.Level == level {
				return true
			}
		}
	}
	return false
}

// Another program takes the last byte of a disk between two measurements, while saves go on, at any point of a round of
// the write-ahead log, and again when the disk had room in between: the node stays.
func TestAnotherProgramThatTakesTheLastByteEndsNoNode(t *testing.T) { // T53
	f := smallFleet(t)
	victim := f.leader()
	var writers sync.WaitGroup
	done := make(chan struct{})
	for w := range 3 {
		writers.Go(func() {
			value := strings.Repeat("v", 200_000)
			for {
				select {
				case <-done:
					return
				default:
					f.do(w, http.MethodPut, fmt.Sprint(w), value)
				}
			}
		})
	}
	for round := range 3 {
		f.until("the disk has room", func() bool {
			var s api.ClusterStatus
			return f.get(victim, "/api/status", &s) == nil && !hasAlarm(s, victim+1, api.AlarmFull) &&
				!hasAlarm(s, victim+1, api.AlarmLow)
		})
		f.fillWhole(victim)
		f.until("its disk is full", func() bool {
			var s api.ClusterStatus
			return f.get(victim, "/api/status", &s) == nil && hasAlarm(s, victim+1, api.AlarmFull)
		})
		t.Logf("round %d: %d bytes are free", round, f.free(victim))
		f.wantRunning()
		if err := os.Remove(f.ballast(victim)); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	writers.Wait()
	f.wantRunning()
}
