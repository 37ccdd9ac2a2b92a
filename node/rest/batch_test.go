package rest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
)

// batch sends lines and returns the result of each.
func (a *testAPI) batch(lines ...string) []api.BatchResult {
	a.t.Helper()
	got := a.want(200, "POST", "/api/v1/batch", strings.Join(lines, "\n")+"\n", "Content-Type", "application/x-ndjson")
	if got.header.Get("Content-Type") != "application/x-ndjson" {
		a.t.Errorf("a batch is answered as %q", got.header.Get("Content-Type"))
	}
	var results []api.BatchResult
	for line := range strings.Lines(got.body) {
		results = append(results, decode[api.BatchResult](a.t, line))
	}
	if len(results) != len(lines) {
		a.t.Fatalf("%d lines were answered with %d", len(lines), len(results))
	}
	return results
}

func TestABatchAnswersEachLineInOrder(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.want(200, "PUT", "/api/v1/kv/binary", "\xff")
	results := a.batch(
		`{"op":"set","key":"a","value":1}`,
		`{"op":"get","key":"a"}`,
		`{"op":"jump"}`,
		`{"op":"incr","key":"a","by":2}`,
		`{"op":"put","key":"b","value":"aGk=","encoding":"base64","content_type":"text/plain"}`,
		`{"op":"put","key":"b","value":"x","if_absent":true}`,
		`{"op":"put","key":"b","value":"x","if_revision":3}`,
		`{"op":"put","key":"c","json":{"deep":[1]}}`,
		`{"op":"get","key":"none"}`,
		`{"op":"cas","key":"a","expected":0,"value":9}`,
		`{"op":"delete","key":"c"}`,
		`{"op":"get","key":"binary"}`,
		`{"op":"get","key":"b"}`,
	)
	for i, want := range []string{
		`{"revision":2,"created":true}`, `3`, `error invalid 0`, `3`, `{"revision":4,"created":true}`,
		`error precondition_failed 4`, `error precondition_failed 4`, `{"revision":7,"created":true}`,
		`error not_found 0`, `{"swapped":false,"value":3}`, `{"deleted":true}`, `"/w=="`, `"hi"`,
	} {
		got := string(results[i].Result)
		if e := results[i].Error; e != nil {
			got = fmt.Sprintf("error %s %d", e.Code, e.Revision)
		}
		if got != want {
			t.Errorf("line %d: got %s, want %s", i, got, want)
		}
	}
	if !slices.Equal(a.node.batches, []int{1, 8}) || a.node.barriers != 1 {
		t.Errorf("the batch proposed %v and made %d barriers; want one call of 8 and one barrier",
			a.node.batches[1:], a.node.barriers)
	}
	if r := results[11].Record; r == nil || r.Encoding != "base64" || r.ModRevision != 1 {
		t.Errorf("the record of a get is %+v", r)
	}
	if results[1].Index != 9 || results[3].Index != 3 || results[3].Term != 3 {
		t.Errorf("positions are %+v, %+v", results[1], results[3])
	}
}

func TestAGetInABatchSeesTheWritesOfTheBatch(t *testing.T) {
	t.Parallel()
	results := serve(t).batch(`{"op":"get","key":"a"}`, `{"op":"set","key":"a","value":1}`)
	if string(results[0].Result) != "1" {
		t.Errorf("the get answered %s, %v", results[0].Result, results[0].Error)
	}
}

func TestALongBatchIsProposedInChunks(t *testing.T) {
	t.Parallel()
	a := serve(t)
	lines := make([]string, 2*batchChunk+1)
	for i := range lines {
		lines[i] = `{"op":"incr","key":"n"}`
	}
	for i, result := range a.batch(lines...) {
		if string(result.Result) != fmt.Sprint(i+1) || result.Index != uint64(i+1) {
			t.Fatalf("line %d: %s at %d", i, result.Result, result.Index)
		}
	}
	if !slices.Equal(a.node.batches, []int{batchChunk, batchChunk, 1}) {
		t.Errorf("chunks are %v", a.node.batches)
	}
}

// Puts and sets of a batch share an entry of the log, and what else is in the batch neither joins it nor overtakes it.
func TestPutsOfABatchShareAnEntry(t *testing.T) {
	t.Parallel()
	a := serve(t)
	results := a.batch(
		`{"op":"put","key":"a","value":"1"}`, `{"op":"get","key":"a"}`, `{"op":"set","key":"b","value":2}`,
		`{"op":"put","key":"c"}`, `{"op":"put","key":"c","value":"3"}`, `{"op":"put","key":"a","value":"4"}`,
		`{"op":"incr","key":"b"}`, `{"op":"put","key":"b","value":"5"}`,
	)
	for i, want := range []struct {
		index  uint64
		result string
	}{
		{1, `{"revision":1,"created":true}`},
		{4, `"4"`},
		{1, `{"revision":1,"created":true}`},
		{},
		{1, `{"revision":1,"created":true}`},
		{2, `{"revision":2,"created":false}`},
		{3, `3`},
		{4, `{"revision":4,"created":false}`},
	} {
		if got := results[i]; got.Index != want.index || string(got.Result) != want.result {
			t.Errorf("line %d is answered %+v, with %s; want %+v", i, got, got.Result, want)
		}
	}
	if !slices.Equal(a.node.batches, []int{4}) {
		t.Errorf("the batch proposed %v commands", a.node.batches)
	}
	refused := serve(t, func(n *fakeNode, _ *Options) { n.proposeErr = node.ErrOverloaded })
	for i, r := range refused.batch(`{"op":"put","key":"a","value":"1"}`, `{"op":"put","key":"b","value":"1"}`) {
		if r.Error == nil || r.Error.Code != api.CodeOverloaded {
			t.Errorf("line %d of an entry that was refused is answered %+v", i, r)
		}
	}
}

// The groups of one part of a long batch are not those of the next.
func TestGroupsOfALongBatch(t *testing.T) {
	t.Parallel()
	a := serve(t)
	lines := slices.Repeat([]string{`{"op":"get","key":"a"}`}, batchChunk-1)
	lines = append(lines, `{"op":"put","key":"a","value":"1"}`, `{"op":"put","key":"a","value":"2"}`)
	results := a.batch(lines...)
	for i, want := range []string{`{"revision":1,"created":true}`, `{"revision":2,"created":false}`} {
		if got := results[batchChunk-1+i]; got.Error != nil || string(got.Result) != want {
			t.Errorf("put %d is answered %+v with %s", i, got, got.Result)
		}
	}
}

func TestTheAnswerOfABatchMayBeFarLargerThanItsBody(t *testing.T) {
	t.Parallel()
	a := serve(t)
	value := strings.Repeat("v", 10_000)
	a.want(200, "PUT", "/api/v1/kv/a", value)
	lines := slices.Repeat([]string{`{"op":"get","key":"a"}`}, 200)
	for _, result := range a.batch(lines...) {
		if len(result.Result) != len(value)+2 {
			t.Fatalf("a get answered %d bytes", len(result.Result))
		}
	}
}

func TestLinesFailAloneAndNeverTheBatch(t *testing.T) {
	t.Parallel()
	for _, failure := range failures {
		a := serve(t, func(n *fakeNode, _ *Options) { n.proposeErr = failure.err })
		results := a.batch(`{"op":"set","key":"a","value":1}`, `{"op":"get","key":"a"}`)
		if results[0].Error == nil || results[0].Error.Code != failure.code {
			t.Errorf("a write that failed with %v is answered %+v", failure.err, results[0])
		}
		want := api.CodeNotFound
		if errors.Is(failure.err, node.ErrNoLeader) {
			want = api.CodeNoLeader // the write has waited for a leader already
		}
		if results[1].Error == nil || results[1].Error.Code != want {
			t.Errorf("the get beside one that failed with %v is answered %+v", failure.err, results[1])
		}
	}
	a := serve(t, func(n *fakeNode, _ *Options) { n.barrierErr = node.ErrNoLeader })
	results := a.batch(`{"op":"get","key":"a"}`, `{"op":"set","key":"a","value":1}`)
	if results[0].Error == nil || results[0].Error.Code != api.CodeNoLeader || results[1].Error != nil {
		t.Errorf("results are %+v", results)
	}
}

func TestABatchTakesAnyLineEnds(t *testing.T) {
	t.Parallel()
	a := serve(t)
	const incr = `{"op":"incr","key":"n"}`
	got := a.want(200, "POST", "/api/v1/batch", "\r\n"+incr+"\r\n\n \t\n"+incr)
	if strings.Count(got.body, "\n") != 2 {
		t.Errorf("two commands are answered with %q", got.body)
	}
}

// A client that coalesces stale reads sends them as a batch: they must not need the leader.
func TestABatchReadsAsFreshAsItsQueryAsks(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) { n.barrierErr = node.ErrNoLeader })
	line := `{"op":"get","key":"none"}` + "\n"
	if got := a.want(200, "POST", "/api/v1/batch?consistency=stale", line); !strings.Contains(got.body, "not_found") {
		t.Errorf("a stale read without a leader: %s", got.body)
	}
	if got := a.want(200, "POST", "/api/v1/batch", line); !strings.Contains(got.body, "no_leader") {
		t.Errorf("a linearizable read without a leader: %s", got.body)
	}
	a.want(400, "POST", "/api/v1/batch?colour=red", line)
}

// Without a leader every request waits for one. A batch is one request, whatever its size.
func TestABatchWaitsForALeaderOnce(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) { n.proposeErr, n.barrierErr = node.ErrNoLeader, node.ErrNoLeader })
	lines := []string{`{"op":"get","key":"n"}`}
	for range 2 * batchChunk {
		lines = append(lines, `{"op":"incr","key":"n"}`)
	}
	for i, result := range a.batch(lines...) {
		if api.ErrorCode(result.Error) != api.CodeNoLeader {
			t.Fatalf("line %d: %s, %v", i, result.Result, result.Error)
		}
	}
	if len(a.node.batches) != 1 || a.node.barriers != 0 {
		t.Errorf("the node was asked to write %d times, and for %d barriers", len(a.node.batches), a.node.barriers)
	}
	lost := serve(t, func(n *fakeNode, _ *Options) { n.proposeErr, n.status.LeaderID = node.ErrOutcomeUnknown, 0 })
	if lost.batch(lines[:2]...); lost.node.barriers != 0 {
		t.Error("the leader was lost with the writes, and the get waited for another")
	}
	b := serve(t, func(n *fakeNode, _ *Options) { n.barrierErr = node.ErrNoLeader })
	b.batch(append(lines, lines...)...)
	if b.node.barriers != 1 {
		t.Errorf("the node was asked for %d barriers", b.node.barriers)
	}
}
