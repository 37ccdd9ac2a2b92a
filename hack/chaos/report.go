package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kontiki-dev/kontiki/hack/chaos/fault"
	"github.com/kontiki-dev/kontiki/hack/lab/history"
)

// together is the row of episodes with two faults.
const together = "(two at once)"

// report prints the tables, and returns an error if a verdict failed.
func (t *trial) report(w io.Writer) error {
	o := t.options
	fmt.Fprintf(w, "\n%d nodes, %s, seed %d; slow links are %s\n", o.nodes, t.cluster.Network.Name(), o.seed,
		t.cluster.Network.Slow())
	if t.cluster.NoDisks != nil {
		fmt.Fprintln(w, "skipped: disk-full, disk-readonly:", t.cluster.NoDisks)
	}
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	t.printOperations(columns)
	t.printFaults(columns)
	if err := columns.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nprocesses that ended by themselves on a full or broken disk, as required: %d\n\n", t.ends)
	for _, v := range t.verdicts {
		word, text := "ok", v.Good
		if v.Err != nil {
			word, text = "FAILED", strings.ReplaceAll(v.Err.Error(), "\n", "\n    ")
		}
		fmt.Fprintf(w, "%-22s %-7s %s\n", v.Name, word, text)
	}
	if t.kept != "" {
		fmt.Fprintf(w, "the history, the nodes' logs and porcupine's visualizations are in %s\n", t.kept)
	}
	if t.failed() == nil {
		return nil
	}
	return errBroken
}

// errBroken reports that a verdict failed. The report names it.
var errBroken = errors.New("the cluster violated its guarantees; see the verdicts above")

// printOperations prints the number of operations of each kind, by outcome.
func (t *trial) printOperations(w io.Writer) {
	counts := make(map[string]map[history.Outcome]int)
	for i := range t.operations {
		o := &t.operations[i]
		for _, row := range rows(o) {
			if counts[row] == nil {
				counts[row] = make(map[history.Outcome]int)
			}
			counts[row][o.Outcome]++
		}
	}
	fmt.Fprintln(w, "\noperation\tok\trefused\tunknown\t")
	for _, row := range slices.Sorted(maps.Keys(counts)) {
		c := counts[row]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t\n", row, c[history.OK], c[history.Fail], c[history.Unknown])
	}
}

// rows returns the rows in which an operation counts.
func rows(o *history.Operation) []string {
	row := string(o.Kind)
	if o.Stale {
		row = "get (stale)"
	}
	all := []string{row, "(all)"}
	if o.Batch > 0 {
		all = append(all, "(in batches)")
	}
	return all
}

// row is one kind of fault in the table.
type row struct {
	name    string
	count   int
	time    time.Duration // of the fault
	gap     time.Duration // the longest time without service
	gapOf   string
	noWrite bool // in one of its times, service did not recover
}

// printFaults prints how often each fault was injected, and the longest time without a successful write that overlaps
// it.
func (t *trial) printFaults(w io.Writer) {
	table := make(map[string]*row)
	at := func(name string) *row {
		if table[name] == nil {
			table[name] = &row{name: name}
		}
		return table[name]
	}
	for _, i := range t.injections {
		r := at(string(i.Kind))
		r.count++
		r.time += time.Duration(i.To-i.From) * time.Microsecond
	}
	for _, s := range t.spells {
		name := s.Name
		if strings.Contains(name, "+") {
			name = together
		}
		r := at(name)
		if !slices.Contains(fault.Kinds, fault.Kind(r.name)) {
			r.count++
			r.time += time.Duration(s.To-s.From) * time.Microsecond
		}
		gap, over := history.LongestGap(t.operations, history.Library, s.From, s.To)
		r.noWrite = r.noWrite || !over
		if gap.Length() > r.gap {
			r.gap, r.gapOf = gap.Length(), s.Name
		}
	}
	fmt.Fprintln(w, "\nfault\ttimes\tseconds\tlongest without service\t")
	byName := func(a, b *row) int { return cmp.Compare(a.name, b.name) }
	for _, r := range slices.SortedFunc(maps.Values(table), byName) {
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%s\t\n", r.name, r.count, r.time.Seconds(), r.longest())
	}
}

func (r *row) longest() string {
	switch {
	case r.noWrite:
		return "it did not recover"
	case r.gap == 0:
		return "only together with another"
	case r.name == together:
		return fmt.Sprintf("%s: %.2f s", r.gapOf, r.gap.Seconds())
	}
	return fmt.Sprintf("%.2f s", r.gap.Seconds())
}
