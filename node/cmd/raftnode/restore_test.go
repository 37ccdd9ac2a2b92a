package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/backup"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/identity"
)

// client returns a client of the fleet.
func (f *fleet) client() *client.Client {
	f.t.Helper()
	var endpoints []string
	for _, address := range f.api {
		endpoints = append(endpoints, "http://"+address)
	}
	c, err := client.New(client.Config{Endpoints: endpoints, Timeout: time.Minute})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.Close)
	return c
}

// scan reads the whole state.
func scan(t *testing.T, c *client.Client, options ...client.ReadOption) []client.Entry {
	t.Helper()
	var all []client.Entry
	for e, err := range c.Scan(t.Context(), client.Range{}, options...) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// wantSameEntries compares two states: every key, value, content type, revision and version.
func wantSameEntries(t *testing.T, got, want []client.Entry) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("got %d keys, want %d", len(got), len(want))
	}
	for i := range want {
		g, w := &got[i], &want[i]
		if g.Key != w.Key || !bytes.Equal(g.Value, w.Value) || g.ContentType != w.ContentType ||
			g.Revision != w.Revision || g.CreateRevision != w.CreateRevision || g.Item.Version != w.Item.Version {
			t.Fatalf("got %+v, want %+v", *g, *w)
		}
	}
}

// writeUntil writes keys with several writers until stop is called, which returns how many were acknowledged.
func writeUntil(t *testing.T, c *client.Client, prefix string) (acknowledged *atomic.Int64, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	acknowledged = &atomic.Int64{}
	for w := range 4 {
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, err := c.Put(ctx, fmt.Sprintf("%s/%d/%d", prefix, w, n%100), fmt.Appendf(nil, "value %d", n))
				if err == nil {
					acknowledged.Add(1)
				}
			}
		})
	}
	return acknowledged, func() {
		cancel()
		writers.Wait()
	}
}

// backUp writes a backup of the fleet to a file.
func backUp(t *testing.T, c *client.Client) (file string, b client.Backup) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "backup.db")
	part, err := os.Create(file + ".part")
	if err != nil {
		t.Fatal(err)
	}
	if b, err = c.Backup(t.Context(), part); err != nil {
		t.Fatal(err)
	}
	if err := part.Close(); err != nil {
		t.Fatal(err)
	}
	if err := backup.Publish(part.Name(), file, b.Sum); err != nil {
		t.Fatal(err)
	}
	return file, b
}

// restore makes the data directory of node i+1.
func (f *fleet) restore(i int, file string, bump uint64) backup.Restored {
	f.t.Helper()
	members, err := identity.ParseMembers(f.initial)
	if err != nil {
		f.t.Fatal(err)
	}
	r, err := backup.Restore(backup.Options{
		File: file, Dir: f.data(i), ID: uint64(i) + 1, Members: members, Bump: bump,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// wantSound stops the nodes, and verifies their directories.
func (f *fleet) wantSound() {
	f.t.Helper()
	for i := range f.running {
		if err := f.end(i, syscall.SIGTERM); err != nil {
			f.t.Errorf("node %d: %v", i+1, err)
		}
		if r, err := backup.Verify(f.data(i)); err != nil || !r.OK {
			f.t.Errorf("the directory of node %d: %+v, %v", i+1, r, err)
		}
	}
}

// smallBackup returns a backup of one node with some keys.
func smallBackup(t *testing.T) (file string, keys []client.Entry) {
	t.Helper()
	f := newFleet(t)
	c := f.client()
	for i := range 50 {
		if _, err := c.Put(t.Context(), fmt.Sprintf("key/%02d", i%40), fmt.Appendf(nil, "value %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	file, _ = backUp(t, c)
	keys = scan(t, c)
	for i := range f.running {
		f.kill(i)
	}
	return file, keys
}

// A backup that is taken while writes go on has everything that was acknowledged before, and becomes a new cluster with
// the same keys, whose revisions go on above those of the old one.
func TestABackupUnderLoadBecomesANewCluster(t *testing.T) {
	t.Parallel()
	old := newFleet(t)
	c := old.client()
	for i := range 300 {
		key, kind := fmt.Sprintf("key/%03d \u2713", i), []string{"text/plain", "application/json", "image/png"}[i%3]
		if _, err := c.Put(t.Context(), key, fmt.Appendf(nil, `{"n":%d}`, i), client.ContentType(kind)); err != nil {
			t.Fatal(err)
		}
	}
	acknowledged, stop := writeUntil(t, c, "load")
	before := acknowledged.Load()
	old.until("the load goes on", func() bool { return acknowledged.Load() > before+200 })
	last, err := c.Put(t.Context(), "last", []byte("before the backup"))
	if err != nil {
		t.Fatal(err)
	}
	file, b := backUp(t, c)
	before = acknowledged.Load()
	old.until("the load goes on after the backup", func() bool { return acknowledged.Load() > before+50 })
	stop()
	if b.Revision < last.Revision {
		t.Errorf("the backup is of revision %d, and revision %d was acknowledged before", b.Revision, last.Revision)
	}
	want := scan(t, c, client.AtRevision(b.Revision))
	old.wantSound()

	const bump = 5000
	var made []backup.Restored
	restored := newFleet(t, func(f *fleet) {
		for i := range f.api {
			made = append(made, f.restore(i, file, bump))
		}
	})
	restored.leader()
	n := restored.client()
	wantSameEntries(t, scan(t, n), want)
	put, err := n.Put(t.Context(), "new", []byte("1"))
	if err != nil || put.Revision <= b.Revision+bump {
		t.Errorf("the first new revision is %d, and must be above %d; %v", put.Revision, b.Revision+bump, err)
	}
	var view api.ClusterView
	if err := restored.get(0, api.PathCluster, &view); err != nil || view.ClusterID != made[0].ClusterID ||
		made[1].ClusterID != made[0].ClusterID || made[2].ClusterID != made[0].ClusterID ||
		!strings.HasPrefix(view.ClusterID, "restored-") {
		t.Errorf("the cluster id is %q, and the restores returned %+v; %v", view.ClusterID, made, err)
	}
	restored.wantSound()
	for i := range restored.api {
		restored.start(i)
	}
	restored.leader()
	if got := scan(t, n); len(got) != len(want)+1 {
		t.Errorf("after a restart there are %d keys, want %d", len(got), len(want)+1)
	}
}

// T28: a member that was restored and took part is not replaced by one that is restored again: it would have forgotten
// its votes, and what it acknowledged.
func TestAMemberThatIsRestoredAgainIsALostDisk(t *testing.T) {
	t.Parallel()
	file, keys := smallBackup(t)
	f := newFleet(t, func(f *fleet) {
		for i := range f.api {
			f.restore(i, file, 0)
		}
	})
	leader := f.leader()
	c := f.client()
	if _, err := c.Put(t.Context(), "new", []byte("1")); err != nil {
		t.Fatal(err)
	}
	victim := (leader + 1) % 3
	f.kill(victim)
	if err := os.RemoveAll(f.data(victim)); err != nil {
		t.Fatal(err)
	}
	f.restore(victim, file, 0)
	f.start(victim)
	f.until("it refuses to take part", func() bool {
		return strings.Contains(f.logs[victim].String(), identity.ErrDiskLost.Error())
	})
	if got := scan(t, c); len(got) != len(keys)+1 {
		t.Errorf("there are %d keys, want %d", len(got), len(keys)+1)
	}
}

// A restored member and empty ones with the same addresses are of two clusters, whichever of them are the majority.
func TestARestoredMemberDoesNotMixWithEmptyOnes(t *testing.T) {
	t.Parallel()
	file, _ := smallBackup(t)
	f := newFleet(t, func(f *fleet) {
		f.restore(0, file, 0)
		f.flags = []string{"--found-by-majority"}
	})
	f.until("the empty ones found a cluster of their own", func() bool {
		var c api.ClusterView
		return f.get(1, api.PathCluster, &c) == nil && c.State == "member" && c.LeaderID > 1
	})
	f.until("the restored one sees that they are of another cluster", func() bool {
		return strings.Contains(f.logs[0].String(), "restored-")
	})
	var restored, empty api.ClusterView
	if err := f.get(0, api.PathCluster, &restored); err != nil || restored.Ready || restored.LeaderID != 0 {
		t.Errorf("the restored one: %+v, %v", restored, err)
	}
	if err := f.get(1, api.PathCluster, &empty); err != nil || empty.ClusterID == restored.ClusterID {
		t.Errorf("the empty one: %+v, %v", empty, err)
	}
	var page api.ListPage
	if err := f.get(1, api.PathList, &page); err != nil || len(page.Records) != 0 {
		t.Errorf("the empty ones have keys of the restored one: %+v, %v", page, err)
	}
}

// A member that is restored after the others founded the cluster is seated by them, and then counts.
func TestALateRestoredMemberIsSeated(t *testing.T) {
	t.Parallel()
	file, keys := smallBackup(t)
	f := newFleet(t, func(f *fleet) {
		f.flags = []string{"--found-by-majority"}
		f.restore(0, file, 7)
		f.restore(1, file, 7)
	})
	f.kill(2) // it is empty, and of another cluster
	if err := os.RemoveAll(f.data(2)); err != nil {
		t.Fatal(err)
	}
	f.leader()
	c := f.client()
	for i := range 20 {
		if _, err := c.Put(t.Context(), fmt.Sprintf("new/%d", i), []byte("1")); err != nil {
			t.Fatal(err)
		}
	}
	f.restore(2, file, 7)
	f.start(2)
	f.until("it is seated", func() bool {
		var c api.ClusterView
		return f.get(2, api.PathCluster, &c) == nil && len(c.SeenMembers) == 3
	})
	f.kill(f.leader())
	f.leader() // it takes the late one to have a majority
	if got := scan(t, c); len(got) != len(keys)+20 {
		t.Errorf("there are %d keys, want %d", len(got), len(keys)+20)
	}
}

// H3: members of the old cluster that are still running at the addresses of the new one do not mix with it.
func TestAMemberOfTheOldClusterDoesNotMixWithTheNewOne(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	c := f.client()
	if _, err := c.Put(t.Context(), "k", []byte("1")); err != nil {
		t.Fatal(err)
	}
	file, _ := backUp(t, c)
	if _, err := c.Put(t.Context(), "later", []byte("1")); err != nil {
		t.Fatal(err)
	}
	for i := range f.running {
		f.kill(i)
	}
	f.flags = []string{"--found-by-majority"}
	for i := range 2 {
		if err := os.RemoveAll(f.data(i)); err != nil {
			t.Fatal(err)
		}
		f.restore(i, file, 100)
	}
	for i := range f.running {
		f.start(i)
	}
	var restored, old api.ClusterView
	f.until("the restored ones have a leader, and the old one sees them", func() bool {
		return f.get(0, api.PathCluster, &restored) == nil && restored.LeaderID != 0 &&
			strings.Contains(f.logs[2].String(), restored.ClusterID)
	})
	if err := f.get(2, api.PathCluster, &old); err != nil || old.ClusterID == restored.ClusterID || old.LeaderID != 0 {
		t.Errorf("the old one: %+v, %v", old, err)
	}
	if restored.LeaderID == 3 {
		t.Error("the member of the old cluster leads the new one")
	}
	var page api.ListPage
	if err := f.get(0, api.PathList, &page); err != nil || len(page.Records) != 1 || page.Records[0].Key != "k" {
		t.Errorf("the new cluster has %+v, %v", page, err)
	}
}
