package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/recovery"
)

// recoverFrom makes a new cluster of one, at the address of node 1, from the directories of some nodes of the fleet.
func (f *fleet) recoverFrom(into string, nodes ...int) recovery.Plan {
	f.t.Helper()
	o := recovery.Options{
		Into: into, Address: "http://" + f.peer[0], Now: 1, Rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
	for _, i := range nodes {
		o.Dirs = append(o.Dirs, f.data(i))
	}
	r, err := recovery.Open(o)
	if err != nil {
		f.t.Fatal(err)
	}
	defer r.Close()
	if err := r.Write(); err != nil {
		f.t.Fatal(err)
	}
	return r.Plan()
}

// Two of three disks are lost, while writes go on. The directory that is left becomes a cluster of one, which starts
// with its data directory alone, serves everything that was acknowledged before, and takes writes. An old member that
// returns is refused.
func TestALostQuorumIsRecovered(t *testing.T) { // T28, H3
	t.Parallel()
	f := newFleet(t)
	leader := f.leader()
	c := f.client()
	for i := range 60 {
		if _, err := c.Put(t.Context(), fmt.Sprintf("key/%02d", i%40), fmt.Appendf(nil, "value %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	want := scan(t, c)
	survivor, returning := (leader+1)%3, (leader+2)%3
	f.until("the survivor has everything", func() bool {
		var value string
		return f.get(survivor, "/api/v1/kv/key/19?consistency=stale", &value) == nil && value == "value 59"
	})
	f.kill(leader)
	f.put(survivor, "unsure", "written without a quorum, or with the third") // it may be acknowledged
	for i := range f.running {
		f.kill(i)
	}
	if err := os.RemoveAll(f.data(leader)); err != nil {
		t.Fatal(err)
	}
	into := filepath.Join(f.dir, "recovered")
	plan := f.recoverFrom(into, survivor)
	if plan.NodeID != 4 || plan.NothingLost || len(plan.Missing) != 2 {
		t.Errorf("the plan is %+v", plan)
	}
	f.startAlone(into)
	var view api.ClusterView
	f.until("the recovered node leads", func() bool {
		return f.get(0, api.PathCluster, &view) == nil && view.LeaderID == 4 && view.Ready
	})
	if view.ClusterID != plan.ClusterID || len(view.Config.Members) != 1 || view.Config.Members[0].ID != 4 {
		t.Errorf("its cluster is %+v", view)
	}
	n := f.clientOf(0)
	got := scan(t, n)
	if len(got) == len(want)+1 { // the write that may have been acknowledged
		got = got[:len(want)]
	}
	wantSameEntries(t, got, want)
	if put, err := n.Put(t.Context(), "after", []byte("1")); err != nil || put.Revision <= plan.LastIndex {
		t.Errorf("the first new revision is %d, and must be above %d; %v", put.Revision, plan.LastIndex, err)
	}
	if returning != 0 { // its address is taken
		f.start(returning)
		f.until("the old member is refused", func() bool {
			return strings.Contains(f.logs[returning].String(), "a peer belongs to another cluster")
		})
		var old api.ClusterView
		err := f.get(returning, api.PathCluster, &old)
		if err != nil || old.LeaderID != 0 || old.ClusterID == view.ClusterID {
			t.Errorf("the old member: %+v, %v", old, err)
		}
	}
	f.kill(0)
	f.startAlone(into)
	f.until("it serves after a restart", func() bool {
		var value string
		return f.get(0, "/api/v1/kv/after", &value) == nil && value == "1"
	})
}

// clientOf returns a client of one node.
func (f *fleet) clientOf(i int) *client.Client {
	f.t.Helper()
	c, err := client.New(client.Config{Endpoints: []string{"http://" + f.api[i]}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.Close)
	return c
}

// A node without flags about its identity continues from its data, and refuses a directory without any, which it does
// not make.
func TestANodeStartsFromItsDataAlone(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.leader()
	f.kill(0)
	f.startAlone(f.data(0))
	f.until("it is ready", func() bool {
		var s string
		return f.get(0, "/readyz", &s) == nil
	})
	if strings.Contains(f.logs[0].String(), "flags differ") {
		t.Errorf("it warns about flags that were not given:\n%s", f.logs[0])
	}
	var output strings.Builder
	none := filepath.Join(t.TempDir(), "none")
	code := run(t.Context(), []string{"serve", "--data-dir", none}, &output, &output)
	_, err := os.Stat(none)
	if code != exitUsage || err == nil || !strings.Contains(output.String(), "--initial-cluster") {
		t.Errorf("exit code %d, %v, output %q", code, err, output.String())
	}
}
