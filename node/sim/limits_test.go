package sim

import (
	"math/rand/v2"
	"testing"
)

func TestLimitsThatAreGivenStay(t *testing.T) {
	t.Parallel()
	production := 0
	for seed := range uint64(200) {
		given := Limits{Window: 7, Cut: 3}
		given.draw(rand.New(rand.NewPCG(seed, 1)))
		if given.Window != 7 || given.Cut != 3 || given.Production || given.Revisions == 0 || given.Age == 0 {
			t.Fatalf("seed %d makes %+v of a window of 7 that is cut 3 entries at once", seed, given)
		}
		drawn := Limits{}
		drawn.draw(rand.New(rand.NewPCG(seed, 1)))
		if drawn.Production {
			production++
		} else if e := drawn.engine(); e.Window.Chunk == 0 || e.TailBytes == 0 || e.Checkpoints.Bytes == 0 {
			t.Fatalf("seed %d leaves something open: %+v", seed, drawn)
		}
	}
	if production < 10 || production > 50 {
		t.Errorf("%d of 200 seeds have the limits of production, want an eighth of them", production)
	}
}
