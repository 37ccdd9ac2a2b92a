package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/hack/chaos/fault"
	"github.com/kontiki-dev/kontiki/hack/lab/history"
)

const (
	// refusedWithin is how soon a partitioned node should refuse what it cannot do.
	refusedWithin = time.Second
	// hung is after how long a request counts as hung, and not as slow on a busy machine.
	hung = 4 * time.Second
)

// absence is a time during which a node was cut off from every majority. Times are the workload's.
type absence struct {
	Node     int // the node's number
	From, To int64
	// Mute: a majority does not receive the node's messages, but the node receives theirs, and so perhaps those of a
	// leader that cannot serve it. It notices later than a minority that receives nothing.
	Mute bool
}

// note records which nodes the faults of an episode cut off. A node that was stopped or killed in the meantime proves
// nothing.
func (t *trial) note(faults []*current) {
	var hit []int
	for _, f := range faults {
		hit = append(hit, f.victims...)
	}
	for _, f := range faults {
		for _, i := range f.cutOff {
			if !slices.Contains(hit, i) {
				mute := f.Kind == fault.OneWay && f.matrix.Receives(i)
				t.absences = append(t.absences, absence{i + 1, f.took.From, f.took.To, mute})
			}
		}
	}
}

// refusals is how nodes behaved while they were cut off: the requests that they received and had to refuse.
type refusals struct {
	Refused int
	Late    int // of these, after more than refusedWithin
	Longest time.Duration
	// Mute is the longest time of a node that still received messages.
	Mute time.Duration
	// Wrong are operations that hung, or were done although they could not be.
	Wrong []error
}

// measure checks the operations that were sent to nodes that were cut off, except for stale reads.
func measure(operations []history.Operation, absences []absence) refusals {
	var r refusals
	for i := range operations {
		o := &operations[i]
		when := during(o, absences)
		if o.Stale || when == nil {
			continue
		}
		took := time.Duration(o.Return-o.Call) * time.Microsecond
		if took > hung {
			r.Wrong = append(r.Wrong, fmt.Errorf("node %d, cut off from the majority, took %s for a %s (operation %d)",
				o.Node, took, o.Kind, o.Serial))
		}
		if o.Outcome == history.OK {
			if o.Return < when.To {
				r.Wrong = append(r.Wrong, fmt.Errorf("node %d was cut off from the majority, and yet did a %s (operation %d)",
					o.Node, o.Kind, o.Serial))
			}
			continue // the partition ended in time
		}
		if when.Mute {
			r.Mute = max(r.Mute, took)
			continue
		}
		r.Refused++
		r.Longest = max(r.Longest, took)
		if took > refusedWithin {
			r.Late++
		}
	}
	return r
}

// during returns the absence in which an operation began, or nil if its node was not cut off then.
func during(o *history.Operation, absences []absence) *absence {
	for i := range absences {
		if a := &absences[i]; o.Node == a.Node && o.Call > a.From && o.Call < a.To {
			return a
		}
	}
	return nil
}

// err joins the first few faults.
func (r *refusals) err() error {
	const most = 5
	wrong := r.Wrong
	if len(wrong) > most {
		wrong = append(slices.Clone(wrong[:most]), fmt.Errorf("and %d more", len(r.Wrong)-most))
	}
	return errors.Join(wrong...)
}
