package kv

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// The volume of a store that is not in a checkpoint is at least what the checkpoint writes, and that is each version
// that is there once.
func TestTheVolumeIsABoundOfWhatACheckpointWrites(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	s, since, saved := New(), uint64(0), Volume{}
	for revision := range uint64(2000) {
		command := fmt.Sprintf(`{"op":"put","key":"%d","value":%q}`, rng.IntN(20), strings.Repeat("v", rng.IntN(500)))
		switch rng.IntN(8) {
		case 0:
			command = fmt.Sprintf(`{"op":"delete","key":"%d"}`, rng.IntN(20))
		case 1:
			command = fmt.Sprintf(`{"op":"compact","revision":%d}`, revision)
		}
		s.Apply(Entry{Revision: revision + 1, Timestamp: int64(revision), Command: []byte(command)})
		if rng.IntN(30) > 0 {
			continue
		}
		delta := s.Delta(since)
		last := map[string]*DeltaChange{}
		for i := range delta.Changes {
			last[delta.Changes[i].Key] = &delta.Changes[i]
		}
		var list []*DeltaChange
		want := Volume{}
		for _, c := range last {
			list = append(list, c)
			if c.Record != nil {
				want.Records++
				want.Made += c.Record.size()
			} else {
				want.Removals += removedPages(c.Position)
			}
		}
		for _, c := range delta.Changes {
			if c.Past != nil && c.Past.ModRevision > since {
				want.Made += c.Past.size()
			} else if c.Past != nil {
				want.Ended += c.Past.size()
			}
		}
		got, bound := delta.Volume(list), s.Volume().Minus(saved)
		if got != want || bound.Records < got.Records || bound.Made < got.Made || bound.Ended < got.Ended ||
			bound.Removals < got.Removals {
			t.Fatalf("revisions %d to %d: %+v, want %+v, at most %+v", since, s.Applied(), got, want, bound)
		}
		since, saved = s.Applied(), s.Volume()
		s.Checkpointed(since)
	}
	if sum := saved.Plus(Volume{}); sum.Records < 1000 || sum.Ended == 0 {
		t.Errorf("the volume of all changes is %+v", sum)
	}
}
