package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/http1"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// allocated returns how many bytes f allocates, with what others allocate meanwhile.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// repeated returns JSON of about size bytes: elements with commas between them, between head and end.
func repeated(size int, head, element, end string) string {
	return head + strings.TrimSuffix(strings.Repeat(element+",", size/(len(element)+1)), ",") + end
}

// Each route reads what its requests need and no more.
func TestEachRouteBoundsItsBody(t *testing.T) { // H4
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	nodes[1].fake.readIndex = func(context.Context, raft.NodeID, raft.Term) (raft.Index, error) { return 1, nil }
	nodes[1].fake.transfer = func(context.Context, raft.Term, raft.NodeID) error { return nil }
	start(t, nodes[1])
	small := maxSmallRequest
	for path, limit := range map[string]int{
		pathRequestVote: small, pathTimeoutNow: small, pathReadIndex: small, pathFingerprint: small, pathTransfer: small,
		pathGenesis: maxGenesisRequest,
	} {
		for length, want := range map[int]int{limit: 0, limit + 1: http.StatusRequestEntityTooLarge} {
			body := `{"x":"` + strings.Repeat("x", length-len(`{"x":""}`)) + `"}`
			status, got := ask(t, nodes[1], http.MethodPost, path, body, nil)
			isTooLarge := status == http.StatusRequestEntityTooLarge
			if isTooLarge != (want != 0) || isTooLarge && got.Code != api.CodeTooLarge {
				t.Errorf("%s: %d bytes are answered %d %+v", path, length, status, got)
			}
		}
	}
}

func TestTheLargestGenesisFits(t *testing.T) {
	t.Parallel()
	seats := slices.Repeat([]raft.Seat{{Member: math.MaxUint64, Incarnation: math.MaxUint64}}, identity.MaxMembers)
	ballot := identity.Ballot{Round: math.MaxUint64, By: math.MaxUint64}
	request, err := json.Marshal(identity.GenesisRequest{Ballot: ballot, Founders: seats})
	if err != nil || len(request) > maxGenesisRequest/2 {
		t.Errorf("the request has %d bytes, and at most %d are read; %v", len(request), maxGenesisRequest, err)
	}
	answer, err := json.Marshal(identity.GenesisAnswer{
		Incarnation: math.MaxUint64, Promised: ballot, Accepted: ballot, Founders: seats, Founded: true, Seats: seats,
	})
	var back identity.GenesisAnswer
	if err == nil {
		err = jsontext.UnmarshalWithin(answer, maxValues, &back)
	}
	if err != nil || len(answer) > maxSmallAnswer/2 || len(back.Seats) != len(seats) {
		t.Errorf("the answer has %d bytes, and at most %d are read; %v", len(answer), maxSmallAnswer, err)
	}
}

// largestStatus is the status of a leader of 99 members, with all its events, each with the votes of all.
func largestStatus() statusAnswer {
	s := statusAnswer{Hosts: map[raft.NodeID]string{}, Key: strings.Repeat("k", 44)}
	s.Reason, s.Notice, s.Mismatch = strings.Repeat("r", 256), strings.Repeat("n", 1024), strings.Repeat("m", 1024)
	for _, name := range api.AlarmNames {
		s.Alarms = append(s.Alarms, api.Alarm{
			Name: name, Level: api.AlarmExceeded, Message: s.Notice, SinceMs: math.MaxInt64,
		})
	}
	s.NextIndex, s.MatchIndex = map[uint64]uint64{}, map[uint64]uint64{}
	s.Progress = map[uint64]api.Progress{}
	for i := range uint64(identity.MaxMembers) {
		id := math.MaxUint64 - i
		s.NextIndex[id], s.MatchIndex[id] = math.MaxUint64, math.MaxUint64
		s.Progress[id] = api.Progress{State: "replicate", Inflight: math.MaxInt64, RTTMs: 1.0 / 3, AckAgeMs: math.MaxInt64}
		s.SeenMembers = append(s.SeenMembers, id)
		s.Hosts[raft.NodeID(id)] = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
	}
	for _, q := range []*api.Quantiles{&s.Latency.Write, &s.Latency.Read, &s.Latency.Fsync} {
		q.Buckets = slices.Repeat([]uint64{math.MaxUint64}, 64)
	}
	for range 64 {
		s.Events = append(s.Events, api.Event{
			Seq: math.MaxUint64, Node: math.MaxUint64, AtMs: math.MaxInt64, Kind: api.EventElected, Term: math.MaxUint64,
			From: 1, To: 1, PreVote: true, Granted: true, Role: "CANDIDATE", Votes: s.SeenMembers, DurationMs: 1,
			Reason: s.Reason,
		})
	}
	return s
}

func TestTheLargestStatusIsRead(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(largestStatus())
	if err != nil || len(text) > maxStatusBytes/2 {
		t.Fatalf("it has %d bytes, and at most %d are read; %v", len(text), maxStatusBytes, err)
	}
	var back statusAnswer
	err = jsontext.UnmarshalWithin(text, maxValues, &back)
	if err != nil || len(back.Events) != 64 || len(back.Hosts) != identity.MaxMembers {
		t.Errorf("%d events and %d hosts are read, %v", len(back.Events), len(back.Hosts), err)
	}
}

// Not in parallel, because it measures what is allocated meanwhile.
func TestAnswersOfNothingCostLittle(t *testing.T) { // H4
	const most = 8 << 20
	for what, text := range map[string]string{
		"events":     repeated(maxStatusBytes, `{"events":[`, `{}`, `]}`),
		"votes":      repeated(maxStatusBytes, `{"events":[{"votes":[`, `1`, `]}]}`),
		"buckets":    repeated(maxStatusBytes, `{"latency":{"read":{"buckets":[`, `1`, `]}}}`),
		"a few less": repeated(2*maxValues, `{"events":[`, `{}`, `]}`),
	} {
		var answer statusAnswer
		if took := allocated(func() { _ = jsontext.UnmarshalWithin([]byte(text), maxValues, &answer) }); took > most {
			t.Errorf("%s: %d bytes of status take %d", what, len(text), took)
		}
	}
	var answer identity.GenesisAnswer
	text := repeated(maxSmallAnswer, `{"seats":[`, `{}`, `]}`)
	if took := allocated(func() { _ = jsontext.UnmarshalWithin([]byte(text), maxValues, &answer) }); took > most {
		t.Errorf("%d bytes of an answer to genesis take %d", len(text), took)
	}
}

// An append that no leader sends is refused at its first wrong entry. Not in parallel, because it measures.
func TestAnAppendIsRefusedAtItsFirstWrongEntry(t *testing.T) { // H4
	const size = 8 << 20
	head := `{"term":1,"leader_id":1,"prev_log_index":0,"prev_log_term":0,"entries":[`
	end := `],"leader_commit":0,"request_id":1,"read_seq":1}`
	for what, element := range map[string]string{
		"no index":       `{"command":0,"timestamp":0}`,
		"always one":     `{"index":1,"term":1,"command":0,"timestamp":0}`,
		"scanned":        `{"index":1,"term":1,"type":"command","command":0,"timestamp":0.000000}`,
		"spaced, no end": `{"index":1, "term":1,"command":0,"timestamp":0}`,
	} {
		body := []byte(repeated(size, head, element, end))
		var err error
		took := allocated(func() { _, err = decodeRequest(raft.MsgAppendEntries, body, nil) })
		if err == nil || took > 4<<20 {
			t.Errorf("%s: %d bytes of memory, %v", what, took, err)
		}
	}
}

// manyEntries is an append of count entries that continue each other, with and without white space.
func manyEntries(count int, space string) []byte {
	text := []byte(`{"term":1,"leader_id":1,"prev_log_index":0,"prev_log_term":0,"entries":[`)
	for i := range count {
		if i > 0 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, `{"index":%d,%s"term":1,"type":"command","command":0,"timestamp":0.000000}`, i+1, space)
	}
	return append(text, `],"leader_commit":0,"request_id":1,"read_seq":1}`...)
}

func TestTheEntriesOfAnAppendAreBounded(t *testing.T) { // H4
	t.Parallel()
	for _, space := range []string{"", " "} {
		m, err := decodeRequest(raft.MsgAppendEntries, manyEntries(maxEntries, space), nil)
		if err != nil || len(m.Entries) != maxEntries {
			t.Errorf("of %d entries %d are read, %v", maxEntries, len(m.Entries), err)
		}
		_, err = decodeRequest(raft.MsgAppendEntries, manyEntries(maxEntries+1, space), nil)
		if err == nil || !strings.Contains(err.Error(), strconv.Itoa(maxEntries)) {
			t.Errorf("one entry too many: %v", err)
		}
	}
}

// What is made of an append is charged beside its text.
func TestEntriesAreCharged(t *testing.T) { // H4
	t.Parallel()
	const count = 10_000
	for _, space := range []string{"", " "} {
		body := manyEntries(count, space)
		memory := budget.NewMemory(64 << 20)
		held := memory.NewAccount(budget.Peers, 0)
		if _, err := decodeRequest(raft.MsgAppendEntries, body, held); err != nil {
			t.Fatal(err)
		}
		if used := memory.Used(); used < 48*count-budget.Allowance {
			t.Errorf("%d bytes are charged for %d entries", used, count)
		}
		held = memory.NewAccount(budget.Peers, 1000)
		if _, err := decodeRequest(raft.MsgAppendEntries, body, held); !errors.Is(err, http1.ErrNoMemory) {
			t.Errorf("without memory: %v", err)
		}
	}
	body := string(manyEntries(count, " "))
	nodes := newCluster(t, 2, func(cfg *Config) { cfg.Memory = budget.NewMemory(int64(len(body)) + 1000) })
	start(t, nodes[1])
	status, got := ask(t, nodes[1], http.MethodPost, pathAppendEntries, body, nil)
	if status != http.StatusTooManyRequests || got.Code != "overloaded" {
		t.Errorf("without memory for the entries: %d %+v", status, got)
	}
}
