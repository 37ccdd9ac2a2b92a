// Package report is the table at the end of an end-to-end run: each step with its result, its duration, and the
// longest time without a successful write.
package report

import (
	"fmt"
	"strings"
	"time"
)

// Tolerance is how many times its aim a measurement may be before it fails the test, because machines differ and may
// be shared. Above the aim, but below that, it is marked as missed.
const Tolerance = 4

// Aim is a measurement with its upper limit.
type Aim struct {
	What     string
	Measured time.Duration
	Limit    time.Duration
}

// Missed reports whether the aim was not reached.
func (a Aim) Missed() bool { return a.Measured > a.Limit }

// Hopeless reports whether the measurement exceeds the aim by more than Tolerance.
func (a Aim) Hopeless() bool { return a.Measured > Tolerance*a.Limit }

// String shows how much of the aim was used: "apply to Ready 12.3 s of 30 s (0.41x)".
func (a Aim) String() string {
	text := fmt.Sprintf("%s %s of %s (%.2fx)", a.What, span(a.Measured), span(a.Limit),
		a.Measured.Seconds()/a.Limit.Seconds())
	if a.Missed() {
		text += " MISSED"
	}
	return text
}

// Step is one line of the table.
type Step struct {
	Name   string
	Result string // passed, FAILED, or skipped with the reason
	Took   time.Duration
	// Gap and Plain are the longest time between two successful writes through node/client and by plain HTTP; 0: there
	// were no writes.
	Gap, Plain time.Duration
	Aims       []Aim
}

// String is the step as one line.
func (s Step) String() string {
	return fmt.Sprintf("%s: %s in %.1f s, longest gap %s, by plain HTTP %s", s.Name, s.Result, s.Took.Seconds(),
		gap(s.Gap), gap(s.Plain))
}

// Table renders the steps as Markdown that is also readable on a terminal.
func Table(steps []Step) string {
	rows := [][]string{{"step", "result", "seconds", "longest gap", "by plain HTTP", "aim"}}
	for _, s := range steps {
		var aims []string
		for _, a := range s.Aims {
			aims = append(aims, a.String())
		}
		rows = append(rows, []string{
			s.Name, s.Result, fmt.Sprintf("%.1f", s.Took.Seconds()), gap(s.Gap), gap(s.Plain), strings.Join(aims, "; "),
		})
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	rule := make([]string, len(widths))
	for i, width := range widths {
		rule[i] = strings.Repeat("-", width)
	}
	var text strings.Builder
	for _, row := range append([][]string{rows[0], rule}, rows[1:]...) {
		for i, cell := range row {
			fmt.Fprintf(&text, "| %-*s ", widths[i], cell)
		}
		text.WriteString("|\n")
	}
	return text.String()
}

func gap(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return span(d)
}

// span formats a duration: milliseconds below a second.
func span(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
