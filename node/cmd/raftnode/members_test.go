package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
)

// change changes the members as a member does that passes a change on: over the peer port of the leader.
func (f *fleet) change(change api.MemberChange) (api.MemberChangeResponse, error) {
	f.t.Helper()
	var answer struct {
		Response api.MemberChangeResponse `json:"response"`
		Refused  *struct{ Code, Message string }
	}
	var view api.ClusterView
	leader := f.leader()
	if err := f.get(leader, "/api/v1/cluster", &view); err != nil {
		return answer.Response, err
	}
	body, err := json.Marshal(change)
	if err != nil {
		f.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, "http://"+f.peer[leader]+"/raft/v1/members",
		bytes.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	from := view.Config.Members[slices.IndexFunc(view.Config.Members, func(m api.ConfigMember) bool {
		return m.ID != view.NodeID
	})].ID
	for name, value := range map[string]any{
		"X-Kontiki-Cluster": view.ClusterID, "X-Kontiki-From": from, "X-Kontiki-To": view.NodeID, "X-Kontiki-Protocol": 1,
	} {
		r.Header.Set(name, fmt.Sprint(value))
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer.Response, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s: %s", response.Status, text)
	}
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err == nil && answer.Refused != nil {
		err = fmt.Errorf("refused: %s: %s", answer.Refused.Code, answer.Refused.Message)
	}
	return answer.Response, err
}

// voters returns the ids of the voters as node i+1 has them; nil while a change is in progress.
func (f *fleet) voters(i int) []uint64 {
	var view api.ClusterView
	if f.get(i, "/api/v1/cluster", &view) != nil || view.Config.Index != view.Config.CommittedIndex {
		return nil
	}
	var ids []uint64
	for _, m := range view.Config.Members {
		if m.Role == api.RoleVoter {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// A fourth process joins a running cluster, and becomes a voter. Then the leader is removed, stays inert, and
// everything is killed and finds the members again.
func TestProcessesJoinAndLeave(t *testing.T) { // T26, T28, T30
	t.Parallel()
	f := newFleet(t)
	if !f.put(f.leader(), "a", "1") {
		t.Fatal("the leader accepts no write")
	}
	free := freeAddresses(t, 2)
	f.api, f.peer = slices.Concat(f.api, free[:1]), slices.Concat(f.peer, free[1:])
	f.running, f.logs = append(f.running, nil), append(f.logs, &syncBuffer{})
	f.startJoining(3)
	f.until("the new node waits", func() bool {
		var view api.ClusterView
		return f.get(3, "/api/v1/cluster", &view) == nil && view.State == api.StateEmpty
	})
	unused := api.NewMember{Address: "http://" + freeAddresses(t, 1)[0]}
	if _, err := f.change(api.MemberChange{Add: []api.NewMember{unused}}); err == nil ||
		!strings.Contains(err.Error(), "bad_change") || !strings.Contains(err.Error(), "--join") {
		t.Errorf("an address at which no node listens: %v", err)
	}
	response, err := f.change(api.MemberChange{Add: []api.NewMember{
		{Address: "http://" + f.peer[3], APIAddress: f.url(3), AutoPromote: true},
	}})
	if err != nil || !slices.Equal(response.Added, []uint64{4}) {
		t.Fatalf("the change was answered with %+v, %v", response, err)
	}
	for i := range f.api {
		f.until(fmt.Sprintf("node %d has four voters", i+1), func() bool {
			return slices.Equal(f.voters(i), []uint64{1, 2, 3, 4})
		})
	}
	f.until("the new node is ready", func() bool {
		var text, value string
		return f.get(3, "/readyz", &text) == nil && f.get(3, "/api/v1/kv/a", &value) == nil && value == "1"
	})
	if !f.put(3, "b", "2") {
		t.Error("the new node accepts no write")
	}

	removed := f.leader()
	if _, err := f.change(api.MemberChange{Remove: []uint64{uint64(removed + 1)}}); err != nil {
		t.Fatal(err)
	}
	f.until("the removed node reports it", func() bool { return f.isRemoved(removed) })
	for i := range f.api {
		f.kill(i)
	}
	if _, err := os.Stat(f.data(removed)); err != nil {
		t.Errorf("the files of the removed node: %v", err)
	}
	for i := range f.api[:3] {
		f.start(i)
	}
	f.startJoining(3)
	want := slices.DeleteFunc([]uint64{1, 2, 3, 4}, func(id uint64) bool { return id == uint64(removed+1) })
	for _, id := range want {
		f.until(fmt.Sprintf("node %d has the members that are left", id), func() bool {
			var text string
			return slices.Equal(f.voters(int(id-1)), want) && f.get(int(id-1), "/readyz", &text) == nil
		})
	}
	f.until("the removed node reports it again", func() bool { return f.isRemoved(removed) })
	var value string
	if err := f.get(3, "/api/v1/kv/b", &value); err != nil || value != "2" {
		t.Errorf("b is %q, %v", value, err)
	}
}

// startJoining starts node i+1 without an identity.
func (f *fleet) startJoining(i int) {
	f.join = true
	defer func() { f.join = false }()
	f.start(i)
}

// isRemoved reports whether node i+1 reports that it was removed, and is not ready for that reason.
func (f *fleet) isRemoved(i int) bool {
	var view api.ClusterView
	var text string
	err := f.get(i, "/readyz", &text)
	return f.get(i, "/api/v1/cluster", &view) == nil && view.State == api.StateRemoved && err != nil &&
		strings.Contains(err.Error(), "removed from the cluster")
}

// Node 1 founds a cluster alone, two others join it, and its disk is lost. With the same flags it founds another
// cluster of the same id, and must not count in the one that runs on.
func TestAFounderThatFoundsAgainDoesNotCount(t *testing.T) { // T28
	t.Parallel()
	f := newFleet(t, func(f *fleet) { f.join = true })
	alone := func() {
		f.kill(0)
		if err := os.RemoveAll(f.data(0)); err != nil {
			t.Fatal(err)
		}
		f.join, f.own = false, map[int]string{0: "1=http://" + f.peer[0]}
		f.start(0)
		f.join = true
	}
	alone()
	f.until("node 1 leads", func() bool { return f.put(0, "a", "1") })
	for i := 1; i < 3; i++ {
		body := strings.NewReader(fmt.Sprintf(`{"address":"http://%s","api_address":"%s"}`, f.peer[i], f.url(i)))
		response, err := http.Post(f.url(0)+"/api/v1/members", "application/json", body)
		if err != nil || response.Body.Close() != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("node %d is not added: %+v, %v", i+1, response, err)
		}
		f.until("it votes", func() bool { return len(f.voters(0)) == i+1 })
	}
	f.until("all have the members", func() bool { return len(f.voters(1)) == 3 && len(f.voters(2)) == 3 })
	f.kill(1)
	alone()
	f.until("node 1 refuses node 3", func() bool {
		return strings.Contains(f.logs[2].String(), "other disks founded the cluster")
	})
	if f.put(2, "b", "2") {
		t.Error("one of three voters accepts a write")
	}
	f.start(1)
	f.until("two of three voters accept a write", func() bool { return f.put(2, "b", "3") })
}

// After a change of the members, each of them stops gracefully, which writes a checkpoint, and starts again.
func TestMembersRestartAfterAChange(t *testing.T) { // T30
	t.Parallel()
	f := newFleet(t)
	leader := f.leader()
	if _, err := f.change(api.MemberChange{Remove: []uint64{uint64((leader+1)%3 + 1)}}); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{leader, (leader + 2) % 3} {
		f.until("it has the members", func() bool { return len(f.voters(i)) == 2 })
		if err := f.end(i, syscall.SIGTERM); err != nil {
			t.Errorf("node %d ended with %v", i+1, err)
		}
		f.start(i)
		f.until("it accepts a write", func() bool { return f.put(i, "a", "1") })
	}
}
