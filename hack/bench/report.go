package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report collects the results of all rounds, in the order in which they first came, and prints their medians.
type report struct {
	caption string // the conditions of the run
	cells   []*cellReport
	facts   [][]string // lines of the second table: measure, each system's figure, aim
}

// cellReport has the results of one driver in one workload, one for each round.
type cellReport struct {
	workload workload
	driver   string
	results  []result
}

const etcdDriver = "etcd client"

func (r *report) add(w workload, driver string, got result) {
	cell := r.find(w, driver)
	if cell == nil {
		cell = &cellReport{workload: w, driver: driver}
		r.cells = append(r.cells, cell)
	}
	cell.results = append(cell.results, got)
}

func (r *report) find(w workload, driver string) *cellReport {
	for _, cell := range r.cells {
		if cell.workload.name == w.name && cell.workload.clients == w.clients && cell.driver == driver {
			return cell
		}
	}
	return nil
}

// fact adds a line to the second table.
func (r *report) fact(line ...string) { r.facts = append(r.facts, line) }

// String is one result in a line, for the progress output.
func (r result) String() string {
	text := fmt.Sprintf("%7.0f/s  p50 %s  p99 %s  cpu %s us", r.perSecond(), r.quantile(50), r.quantile(99), r.cost())
	if failed := r.failures.String(); failed != "" {
		text += "  failed: " + failed
	}
	return text
}

// quantile is in milliseconds.
func (r result) quantile(q float64) string { return milliseconds(r.micros(q)) }

func (r result) micros(q float64) float64 { return float64(r.latency.ValueAtQuantile(q)) }

func milliseconds(micros float64) string {
	if micros < 10_000 {
		return fmt.Sprintf("%.2f", micros/1000)
	}
	return fmt.Sprintf("%.1f", micros/1000)
}

// cost is the processor time of one operation, in microseconds: that of the servers + that of the clients.
func (r result) cost() string {
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(max(1, r.operations)) }
	if r.servers == 0 {
		return "?"
	}
	return fmt.Sprintf("%.0f+%.0f", each(r.servers), each(r.clients))
}

// median returns the median of a figure over the rounds.
func (c *cellReport) median(figure func(result) float64) float64 {
	var values []float64
	for _, r := range c.results {
		values = append(values, figure(r))
	}
	return median(values)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// figures are the columns that every driver has.
func (c *cellReport) figures() []string {
	middle := c.results[0]
	for _, r := range c.results {
		if r.perSecond() == c.median(result.perSecond) {
			middle = r
		}
	}
	return []string{
		thousands(c.median(result.perSecond)),
		milliseconds(c.median(func(r result) float64 { return r.micros(50) })),
		milliseconds(c.median(func(r result) float64 { return r.micros(99) })),
		middle.cost(),
	}
}

// rows are the lines of the first table: each driver of Kontiki beside etcd.
func (r *report) rows() [][]string {
	rows := [][]string{{
		"workload", "clients", "Kontiki through", "Kontiki/s", "p50 ms", "p99 ms", "CPU us",
		"etcd/s", "etcd p50", "etcd p99", "etcd CPU", "ratio", "wanted",
	}}
	for _, cell := range r.cells {
		other := r.find(cell.workload, etcdDriver)
		blank := []string{"", "", "", ""}
		row := []string{cell.workload.name, fmt.Sprint(cell.workload.clients), cell.driver}
		switch {
		case cell.driver != etcdDriver && other != nil:
			row = append(append(append(row, cell.figures()...), other.figures()...), verdict(cell, other)...)
		case cell.driver != etcdDriver:
			row = append(append(append(row, cell.figures()...), blank...), "", "")
		case r.onlyEtcd(cell.workload):
			row[2] = ""
			row = append(append(append(row, blank...), cell.figures()...), "", "")
		default:
			continue
		}
		rows = append(rows, row)
	}
	return rows
}

// verdict is the ratio and whether it meets its aim: at least so much throughput, at a p99 that is no worse.
func verdict(cell, other *cellReport) []string {
	p99 := func(r result) float64 { return r.micros(99) }
	ratio := cell.median(result.perSecond) / other.median(result.perSecond)
	least := cell.workload.wanted[cell.driver]
	wanted := fmt.Sprintf("%.1fx", least)
	switch {
	case least == 0:
		wanted = ""
	case ratio < least:
		wanted += " MISSED"
	case cell.median(p99) > other.median(p99):
		wanted += ", p99 MISSED"
	}
	return []string{fmt.Sprintf("%.2fx", ratio), wanted}
}

func (r *report) onlyEtcd(w workload) bool {
	return !slices.ContainsFunc(r.cells, func(c *cellReport) bool {
		return c.workload.name == w.name && c.workload.clients == w.clients && c.driver != etcdDriver
	})
}

// thousands formats 12345 as 12,345.
func thousands(n float64) string {
	digits := fmt.Sprintf("%.0f", n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// print prints the tables, as Markdown or for a terminal.
func (r *report) print(w io.Writer, markdown bool) error {
	if _, err := fmt.Fprintf(w, "%s\n\n", r.caption); err != nil {
		return err
	}
	facts := append([][]string{{"measure", "Kontiki", "etcd", "wanted"}}, r.facts...)
	for _, table := range [][][]string{r.rows(), facts} {
		if len(table) == 1 {
			continue
		}
		printTable := printPlain
		if markdown {
			printTable = printMarkdown
		}
		if err := printTable(w, table); err != nil {
			return err
		}
	}
	return nil
}

func printMarkdown(w io.Writer, table [][]string) error {
	var text strings.Builder
	for i, row := range table {
		fmt.Fprintf(&text, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(&text, "|%s\n", strings.Repeat(" --- |", len(row)))
		}
	}
	_, err := fmt.Fprintln(w, text.String())
	return err
}

func printPlain(w io.Writer, table [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range table {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	fmt.Fprintln(tw)
	return tw.Flush()
}
