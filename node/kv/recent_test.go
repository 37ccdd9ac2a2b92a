package kv

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// What is found by its hash is what the tree has, through deletions, cuts and new keys under old names.
func TestRecentItemsAreThoseOfTheTree(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		r, s := rand.New(rand.NewPCG(seed, 2)), New()
		for range 2000 {
			key := fmt.Sprint(r.IntN(200))
			text := fmt.Sprintf(`{"op":"put","key":%q,"value":"v"}`, key)
			switch r.IntN(10) {
			case 0, 1, 2:
				text = fmt.Sprintf(`{"op":"delete","key":%q}`, key)
			case 3:
				text = fmt.Sprintf(`{"op":"compact","revision":%d}`, s.Applied())
			}
			s.applyText(s.Applied()+1, []byte(text))
			want, _ := s.items.Get(key)
			if got := s.recent.find([]byte(key)); got != nil && got != want {
				t.Fatalf("seed %d: after %s, the recent item is %+v, and that of the tree %+v", seed, text, got, want)
			}
		}
		if len(s.recent.items) == 0 || len(s.recent.items) > 512 {
			t.Errorf("seed %d: there are %d places", seed, len(s.recent.items))
		}
	}
}

// Keys of which the hash picks the same place are not confused.
func TestRecentKeepsKeysApart(t *testing.T) {
	t.Parallel()
	s := New()
	for i := range 1000 {
		s.applyText(s.Applied()+1, fmt.Appendf(nil, `{"op":"put","key":"%d","value":"%d"}`, i, i))
	}
	for i := range 1000 {
		if _, r := s.find(fmt.Append(nil, i)); r == nil || string(r.Value) != fmt.Sprint(i) {
			t.Errorf("key %d has the record %+v", i, r)
		}
	}
	if _, r := s.find([]byte("1000")); r != nil {
		t.Errorf("an absent key has the record %+v", r)
	}
}
