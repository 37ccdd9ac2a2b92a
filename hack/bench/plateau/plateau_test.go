package plateau

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// run returns ten minutes of measurements, one every two seconds. The function has the part of the run, from 0 to 1.
func run(value func(at float64) float64) []Point {
	const count = 300
	var points []Point
	for i := range count {
		at := float64(i) / count
		points = append(points, Point{At: time.Duration(i) * 2 * time.Second, Value: value(at)})
	}
	return points
}

// sawtooth rises from 0 to 1 and falls back at once, each period.
func sawtooth(at, period, phase float64) float64 {
	_, part := math.Modf(at/period + phase)
	return part
}

func check(t *testing.T, name string, value func(at float64) float64, slack float64, grows bool) {
	t.Helper()
	v, err := Judge(run(value), slack)
	if err != nil {
		t.Fatal(err)
	}
	if v.Grows != grows {
		t.Errorf("%s: grows is %t, want %t; the verdict is %+v", name, v.Grows, grows, v)
	}
}

func TestAPlateauPasses(t *testing.T) {
	t.Parallel()
	noise := rand.New(rand.NewPCG(1, 2))
	for name, value := range map[string]func(at float64) float64{
		"nothing at all":             func(float64) float64 { return 0 },
		"a constant":                 func(float64) float64 { return 4 << 20 },
		"it falls":                   func(at float64) float64 { return 100 - 50*at },
		"caches fill at first":       func(at float64) float64 { return 100 * (1 - math.Exp(-at/0.1)) },
		"a step in the first third":  func(at float64) float64 { return 100 + 50*math.Floor(min(at, 0.3)*5) },
		"2 % in half of the run":     func(at float64) float64 { return 100 + 4*at },
		"the last measurement alone": func(at float64) float64 { return 100 + 900*math.Floor(at+0.004) },
	} {
		check(t, name, value, 0, false)
	}
	for range 1000 {
		check(t, "noise of a fifth", func(float64) float64 { return 100 + 20*noise.NormFloat64() }, 0, false)
	}
}

func TestASawtoothPassesInEveryPhase(t *testing.T) {
	t.Parallel()
	for _, period := range []float64{0.01, 0.03, 0.07, 0.1, 0.15, 0.2, 0.25} {
		for phase := 0.0; phase < 1; phase += 0.05 {
			for _, base := range []float64{0, 50, 400} {
				name := fmt.Sprintf("period %v, phase %v, on top of %v", period, phase, base)
				check(t, name, func(at float64) float64 { return base + 100*sawtooth(at, period, phase) }, 0, false)
			}
		}
	}
}

func TestASlowLeakFails(t *testing.T) {
	t.Parallel()
	noise := rand.New(rand.NewPCG(3, 4))
	for name, value := range map[string]func(at float64) float64{
		"15 % in the run": func(at float64) float64 { return 100 + 15*at },
		"after a start that took more": func(at float64) float64 {
			if at < 0.05 {
				return 200
			}
			return 100 + 15*at
		},
		"it starts in the middle": func(at float64) float64 { return 100 + 30*max(0, at-0.4) },
		"in stairs":               func(at float64) float64 { return 100 + 3*math.Floor(at*7) },
		"slower and slower":       func(at float64) float64 { return 100 * math.Sqrt(at) },
		"from nothing":            func(at float64) float64 { return at },
	} {
		check(t, name, value, 0, true)
		noisy := func(at float64) float64 { return value(at) * (1 + noise.NormFloat64()/100) }
		check(t, name+", with noise", noisy, 0, true)
	}
}

func TestALeakBelowASawtoothFails(t *testing.T) {
	t.Parallel()
	for _, period := range []float64{0.01, 0.07, 0.15, 0.25} {
		for phase := 0.0; phase < 1; phase += 0.05 {
			name := fmt.Sprintf("period %v, phase %v", period, phase)
			leak := func(at float64) float64 { return 100 + 60*at + 30*sawtooth(at, period, phase) }
			check(t, name, leak, 0, true)
		}
	}
}

func TestGrowthWithinTheSlackPasses(t *testing.T) {
	t.Parallel()
	goroutines := func(at float64) float64 { return 50 + 10*at } // 5 in the second half
	check(t, "ten more goroutines", goroutines, 6, false)
	check(t, "ten more goroutines", goroutines, 4, true)
}

func TestTheSlopeIsPerMinute(t *testing.T) {
	t.Parallel()
	v, err := Judge(run(func(at float64) float64 { return 1000 + 1000*at }), 0)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(v.Slope-100) > 0.01 || math.Abs(v.Mean-1748.3) > 0.1 || math.Abs(v.Growth-0.2841) > 0.001 {
		t.Errorf("got %+v", v)
	}
}

func TestAShortRunHasNoVerdict(t *testing.T) {
	t.Parallel()
	if v, err := Judge(run(func(float64) float64 { return 1 })[:MinPoints-1], 0); err == nil {
		t.Errorf("%d points give %+v", MinPoints-1, v)
	}
}
