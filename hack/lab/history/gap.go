package history

import (
	"slices"
	"time"
)

// Gap is a time without a successful write.
type Gap struct {
	From, To int64 // when the write before it and the one after it returned, in microseconds since 1970
}

// Length is the length of the gap.
func (g Gap) Length() time.Duration { return time.Duration(g.To-g.From) * time.Microsecond }

// LongestGap returns the longest time between two successive successful writes over a path that overlaps the interval
// from..to, in microseconds since 1970. A gap that began before the interval, or ends after it, counts whole. If no
// write has succeeded after the end of the interval, the gap is not over, and LongestGap returns false.
func LongestGap(operations []Operation, path Path, from, to int64) (Gap, bool) {
	var returns []int64
	for i := range operations {
		if o := &operations[i]; o.Path == path && o.IsWrite() && o.Outcome == OK {
			returns = append(returns, o.Return)
		}
	}
	slices.Sort(returns)
	first, _ := slices.BinarySearch(returns, from)
	if first == len(returns) || returns[len(returns)-1] < to {
		return Gap{}, false
	}
	longest, before := Gap{}, from
	if first > 0 {
		before = returns[first-1]
	}
	for _, at := range returns[first:] {
		if g := (Gap{From: before, To: at}); g.Length() > longest.Length() {
			longest = g
		}
		if before = at; at >= to {
			break
		}
	}
	return longest, true
}
