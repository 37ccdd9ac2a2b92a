// Package plateau decides whether a measured quantity grows without bound. It is pure.
package plateau

import (
	"fmt"
	"math"
	"slices"
	"time"
)

const (
	// Tolerance is the growth over half of a run, as a part of the mean, that does not count.
	Tolerance = 0.05
	// MinPoints is the number of measurements below which a run is too short for a verdict.
	MinPoints = 40
	// deviations is the number of standard deviations of the slope within which growth may be chance.
	deviations = 4
)

// Point is one measurement.
type Point struct {
	At    time.Duration // since the start of the run
	Value float64
}

// Verdict is what a series of measurements shows.
type Verdict struct {
	Mean  float64 // over the second half of the run
	Slope float64 // per minute: least squares over the second half
	// Growth is the slope over the whole second half, as a part of the mean.
	Growth float64
	Grows  bool
}

// Judge reports whether a quantity grows, by the second half of its measurements, which are in the order of time. All
// of these must hold:
//
//   - by the slope, it grew in that half by more than Tolerance of its mean, by more than slack, and by more than four
//     times the deviation that the slope has because the measurements scatter around it;
//   - its floor, the 10th percentile, rose by at least half as much from the second quarter of the run to the last;
//   - its ceiling, the 90th percentile, rose by at least half as much between these quarters.
//
// The first quarter, in which caches fill, does not count. A quantity that rises and falls has a slope too, but its
// floor and its ceiling stay, if its cycle takes at most a quarter of the run. Slack keeps small quantities from
// growing by chance: 50 goroutines by three.
func Judge(points []Point, slack float64) (Verdict, error) {
	if len(points) < MinPoints {
		return Verdict{}, fmt.Errorf("%d measurements are too few for a verdict: run for long enough to have %d",
			len(points), MinPoints)
	}
	half := points[len(points)/2:]
	mean, perSecond, deviation := line(half)
	seconds := (half[len(half)-1].At - half[0].At).Seconds()
	grown := perSecond * seconds
	v := Verdict{Mean: mean, Slope: perSecond * 60}
	if mean != 0 {
		v.Growth = grown / mean
	}
	least := max(Tolerance*mean, slack)
	before, last := quarter(points, 1), quarter(points, 3)
	v.Grows = grown > least && perSecond > deviations*deviation &&
		percentile(last, 10)-percentile(before, 10) >= least/2 &&
		percentile(last, 90)-percentile(before, 90) >= least/2
	return v, nil
}

// line returns the mean, and the slope per second of the line of least squares with its standard deviation.
func line(points []Point) (mean, slope, deviation float64) {
	n := float64(len(points))
	var meanAt float64
	for _, p := range points {
		meanAt += p.At.Seconds() / n
		mean += p.Value / n
	}
	var product, square float64
	for _, p := range points {
		at := p.At.Seconds() - meanAt
		product += at * (p.Value - mean)
		square += at * at
	}
	if square == 0 {
		return mean, 0, 0
	}
	slope = product / square
	var scatter float64
	for _, p := range points {
		off := p.Value - mean - slope*(p.At.Seconds()-meanAt)
		scatter += off * off
	}
	return mean, slope, math.Sqrt(scatter / (n - 2) / square)
}

// quarter returns the values of one quarter of the points, 0 to 3, in ascending order.
func quarter(points []Point, n int) []float64 {
	var values []float64
	for _, p := range points[n*len(points)/4 : (n+1)*len(points)/4] {
		values = append(values, p.Value)
	}
	slices.Sort(values)
	return values
}

// percentile returns a percentile of sorted values.
func percentile(sorted []float64, percent int) float64 {
	return sorted[(len(sorted)-1)*percent/100]
}
