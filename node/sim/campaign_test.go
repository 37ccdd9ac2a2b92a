package sim

import (
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestSeedsAreReadInThreeWays(t *testing.T) {
	t.Parallel()
	fresh := func() uint64 { return 1000 }
	for text, want := range map[string]Seeds{
		"0..500": {0, 500}, "7..7": {7, 7}, "17+3": {17, 19}, "fresh+2000": {1000, 2999},
		"18446744073709551615+1":                     {1<<64 - 1, 1<<64 - 1},
		"18446744073709551614..18446744073709551615": {1<<64 - 2, 1<<64 - 1},
	} {
		got, err := ParseSeeds(text, fresh)
		if err != nil || got != want {
			t.Errorf("%s: got %v, %v; want %v", text, got, err, want)
		}
		if again, err := ParseSeeds(got.String(), fresh); err != nil || again != want {
			t.Errorf("%v, as it is printed: got %v, %v; want %v", got, again, err, want)
		}
	}
	for _, text := range []string{
		"", "5", "..", "1..", "..1", "5..4", "a..b", "1..2..3", "-1..3", "1+0", "1+", "+1", "1+-1", "new+5", "fresh",
		"fresh+", "18446744073709551615+2", "fresh..5",
	} {
		if got, err := ParseSeeds(text, fresh); err == nil || !strings.Contains(err.Error(), "0..500") {
			t.Errorf("%q: got %v and the error %v; want one that says what would be right", text, got, err)
		}
	}
}

// breaking is a run that costs no time, and breaks an invariant for some seeds.
func breaking(broken ...uint64) func(Config) Result {
	return func(cfg Config) Result {
		r := Result{
			Seed: cfg.Seed, Steps: 10, Simulated: time.Hour, Struck: map[string]int{"crash": 2}, Operations: Operations{Done: 3},
		}
		if slices.Contains(broken, cfg.Seed) {
			r.Violation = &Violation{Seed: cfg.Seed, Broken: "something"}
		}
		return r
	}
}

func TestACampaignTellsTheSameWithAnyNumberOfWorkers(t *testing.T) {
	t.Parallel()
	for workers := range 5 {
		var order []uint64
		c := Campaign{Seeds: Seeds{10, 59}, Workers: workers, run: breaking(20, 31)}
		c.Over = func(r Result) { order = append(order, r.Seed) }
		s := c.Run()
		want := Summary{
			Seeds: 50, Steps: 500, Simulated: 50 * time.Hour, Operations: Operations{Done: 150},
			Struck:     map[string]int{"crash": 100},
			Violations: []*Violation{{Seed: 20, Broken: "something"}, {Seed: 31, Broken: "something"}},
		}
		if !reflect.DeepEqual(s, want) {
			t.Errorf("%d workers: got %+v, want %+v", workers, s, want)
		}
		if len(order) != 50 || !slices.IsSorted(order) {
			t.Errorf("%d workers: told in the order %v", workers, order)
		}
	}
}

func TestACampaignThatWantsTheFirstViolationGivesTheLowestSeed(t *testing.T) {
	t.Parallel()
	late := make(chan struct{})
	var runs atomic.Int64
	c := Campaign{Seeds: Seeds{0, 1_000_000}, Workers: 3, First: true}
	c.run = func(cfg Config) Result {
		runs.Add(1)
		switch cfg.Seed {
		case 4:
			<-late // is over after seed 5
		case 5:
			defer close(late)
		}
		return breaking(4, 5)(cfg)
	}
	s := c.Run()
	if s.Seeds != 5 || s.Steps != 50 || len(s.Violations) != 1 || s.Violations[0].Seed != 4 {
		t.Errorf("got %+v; want the five seeds up to 4", s)
	}
	if n := runs.Load(); n > 1000 {
		t.Errorf("%d seeds were run; want an end after the first few", n)
	}
}

func TestACampaignEndsWithTheLastSeedThereIs(t *testing.T) {
	t.Parallel()
	c := Campaign{Seeds: Seeds{1<<64 - 2, 1<<64 - 1}, Workers: 2, run: breaking()}
	if s := c.Run(); s.Seeds != 2 {
		t.Errorf("got %d seeds, want 2", s.Seeds)
	}
}
