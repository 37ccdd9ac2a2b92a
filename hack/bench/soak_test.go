package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/hack/bench/plateau"
	"github.com/kontiki-dev/kontiki/hack/lab/process"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// store is a cluster in memory. It acknowledges the writes with the numbers in drop, counted from 1, and does not do
// them; the outcome of the one with the number unknown is unknown, and it was done.
type store struct {
	content map[string]string
	numbers map[string]int64
	writes  int
	drop    map[int]bool
	unknown int
}

func newStore() *store {
	return &store{content: map[string]string{}, numbers: map[string]int64{}, drop: map[int]bool{}}
}

func (s *store) next() (done bool, err error) {
	s.writes++
	if s.writes == s.unknown {
		err = &api.Error{Code: api.CodeOutcomeUnknown}
	}
	return !s.drop[s.writes], err
}

func (s *store) Put(_ context.Context, key string, value []byte, _ ...client.WriteOption) (api.PutResponse, error) {
	done, err := s.next()
	if done {
		s.content[key] = string(value)
	}
	return api.PutResponse{}, err
}

func (s *store) Delete(_ context.Context, key string, _ ...client.WriteOption) (api.DeleteResponse, error) {
	_, exists := s.content[key]
	done, err := s.next()
	if done {
		delete(s.content, key)
	}
	return api.DeleteResponse{Deleted: exists}, err
}

func (s *store) Incr(_ context.Context, key string, by int64) (client.IncrResponse, error) {
	value := s.numbers[key] + by
	done, err := s.next()
	if done {
		s.numbers[key] = value
		s.content[key] = fmt.Sprint(value)
	}
	return client.IncrResponse{Value: value}, err
}

// soakAgainst makes 3,000 writes and returns what is wrong with the responses, and then with the content.
func soakAgainst(t *testing.T, s *store) (responses, content error) {
	t.Helper()
	c := newSoakClient(1, s)
	var during, after faults
	for range 3000 {
		if err := c.write(t.Context()); err != nil && api.ErrorCode(err) != api.CodeOutcomeUnknown {
			during.add(err)
		}
	}
	compare("node 1", c.keys, s.content, &after)
	return during.err(), after.err()
}

func TestASoakWithoutALostWritePasses(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.unknown = 1000
	if responses, content := soakAgainst(t, s); responses != nil || content != nil {
		t.Errorf("got %v, %v", responses, content)
	}
}

func TestTheSoakFindsEveryLostWriteOfAKind(t *testing.T) {
	t.Parallel()
	found := 0
	for lost := 2900; lost < 3000; lost++ {
		s := newStore()
		s.drop[lost] = true
		responses, content := soakAgainst(t, s)
		if responses != nil || content != nil {
			found++
		}
	}
	// A later write to the same key hides a lost put, and a delete of nothing has no effect to lose.
	if found < 70 {
		t.Errorf("%d of the last 100 writes were found to be lost", found)
	}
}

func TestTheSoakNamesWhatIsLost(t *testing.T) {
	t.Parallel()
	expected := map[string]content{
		"a": {exists: true, value: "1"}, "b": {exists: true, value: "2"}, "c": {}, "d": {exists: true, value: "4"},
		"e": {unsure: true},
	}
	for _, c := range []struct {
		found map[string]string
		want  string
	}{
		{map[string]string{"a": "1", "b": "2", "d": "4", "e": "?"}, ""},
		{map[string]string{"a": "1", "b": "2", "d": "4"}, ""},
		{map[string]string{"a": "1", "d": "4"}, "node 2 does not have b"},
		{map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"}, "node 2 has c, whose delete was acknowledged"},
		{map[string]string{"a": "1", "b": "old", "d": "4"}, `node 2 has b as "old"`},
		{map[string]string{"a": "1", "b": "2", "d": "4", "f": "6"}, "node 2 has f, which was never written"},
	} {
		var wrong faults
		compare("node 2", expected, c.found, &wrong)
		err := wrong.err()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v: got %v, want %q", c.found, err, c.want)
		}
	}
}

func TestTheSoakFailsIfAQuantityGrows(t *testing.T) {
	t.Parallel()
	m := &member{number: 2, process: &process.Process{Name: "kontiki 2"}}
	measured := func(name string, value func(i int) float64) *series {
		s := &series{member: m, gauge: gauge{name: name, unit: 1, slack: 1}}
		for i := range 100 {
			s.points = append(s.points, plateau.Point{At: time.Duration(i) * time.Second, Value: value(i)})
		}
		return s
	}
	flat := measured("goroutines", func(i int) float64 { return 100 + float64(i%7) })
	leak := measured("memory MiB", func(i int) float64 { return 100 + float64(i) })
	var out strings.Builder
	if err := judgeSoak(&out, []*series{flat}, true); err != nil {
		t.Error(err)
	}
	err := judgeSoak(&out, []*series{flat, leak}, true)
	if err == nil || !strings.HasSuffix(err.Error(), ": memory MiB of node 2") {
		t.Errorf("got %v", err)
	}
	const line = "| 2 | memory MiB | 174.50 | 199.00 | +60.000 | +34.38% | +28.1% | GROWS |"
	if !strings.Contains(out.String(), line) {
		t.Errorf("the report lacks\n%s\nin\n%s", line, out.String())
	}
}
