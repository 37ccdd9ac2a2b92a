package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/hack/bench/plateau"
)

// soakFlags are limits so small that a minute of writes fills them often, as years of writes fill the default ones.
var soakFlags = []string{
	"--checkpoint-interval", "1s", "--log-entries", "2000", "--history-revisions", "5000", "--history-bytes", "4MiB",
}

const (
	soakLeast   = 15 * time.Second
	soakSamples = 200 // wanted, unless they come too fast or too seldom
)

// gauge is one of the quantities that must not grow.
type gauge struct {
	name  string
	unit  float64 // divides the value that is printed
	slack float64 // see plateau.Judge
	read  func(m *member, all metrics) (float64, error)
}

const mib = 1 << 20

var gauges = []gauge{
	{"memory MiB", mib, 4 * mib, func(m *member, _ metrics) (float64, error) {
		bytes, err := m.process.Memory()
		return float64(bytes), err
	}},
	{"Go heap MiB", mib, 4 * mib, metric(goHeap)},
	{"goroutines", 1, 5, metric(goRoutines)},
	{"log entries", 1, 1024, func(_ *member, all metrics) (float64, error) {
		return all[lastLogIndex] - all[firstLogIndex] + 1, nil
	}},
	{"history MiB", mib, mib, metric(historyBytes)},
	{"raft.db MiB", mib, mib, file("raft.db")},
	{"raft.db-wal MiB", mib, mib, file("raft.db-wal")},
	{"state.db MiB", mib, mib, file("state.db")},
	{"state.db-wal MiB", mib, mib, file("state.db-wal")},
	{"all files MiB", mib, 2 * mib, func(m *member, _ metrics) (float64, error) { return folderSize(m.data) }},
}

func metric(name string) func(*member, metrics) (float64, error) {
	return func(m *member, all metrics) (float64, error) {
		value, ok := all[name]
		if !ok {
			return 0, fmt.Errorf("%s has no metric %s", m.process.Name, name)
		}
		return value, nil
	}
}

func file(name string) func(*member, metrics) (float64, error) {
	return func(m *member, _ metrics) (float64, error) {
		bytes, err := m.fileSize(name)
		return float64(bytes), err
	}
}

// folderSize is the size of all files in a folder.
func folderSize(dir string) (float64, error) {
	var sum float64
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // the server has removed it meanwhile
		}
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err == nil {
			sum += float64(info.Size())
		}
		return err
	})
	return sum, err
}

// series are the measurements of one gauge on one member.
type series struct {
	member *member
	gauge  gauge
	points []plateau.Point
}

// soak writes for a long time, and returns an error if a quantity of a server grows or a write is lost.
func (b *bench) soak(ctx context.Context, out io.Writer) error {
	return b.withClustersOf(ctx, []system{kontiki{soakFlags}}, 0, func(all []*cluster) error {
		c := all[0]
		ctx, cancel := context.WithTimeout(ctx, b.soakTime+5*time.Minute)
		defer cancel()
		load, err := startSoak(ctx, c)
		if err != nil {
			return err
		}
		measured, err := b.sample(ctx, c, load)
		err = errors.Join(err, load.stop(ctx, b.progress))
		if err != nil {
			return err
		}
		return judgeSoak(out, measured, b.markdown)
	})
}

// sample reads every gauge of every member again and again, for the time of the soak.
func (b *bench) sample(ctx context.Context, c *cluster, load *soakLoad) ([]*series, error) {
	var all []*series
	for _, m := range c.members {
		for _, g := range gauges {
			all = append(all, &series{member: m, gauge: g})
		}
	}
	every := min(max(b.soakTime/soakSamples, 250*time.Millisecond), 5*time.Second)
	begin, shown := time.Now(), time.Duration(0)
	for at := time.Duration(0); at < b.soakTime; at = time.Since(begin) {
		if at-shown > b.soakTime/10 {
			shown = at
			fmt.Fprintf(b.progress, "soak: %v, %s writes\n", at.Round(time.Second), thousands(float64(load.writes.Load())))
		}
		if err := sampleOnce(ctx, c, all, at); err != nil {
			return nil, err
		}
		if err := sleep(ctx, every); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func sampleOnce(ctx context.Context, c *cluster, all []*series, at time.Duration) error {
	scraped := map[*member]metrics{}
	for _, m := range c.members {
		values, err := scrape(ctx, m)
		if err != nil {
			return errors.Join(err, c.ended())
		}
		scraped[m] = values
	}
	for _, s := range all {
		value, err := s.gauge.read(s.member, scraped[s.member])
		if err != nil {
			return fmt.Errorf("%s of %s: %w", s.gauge.name, s.member.process.Name, err)
		}
		s.points = append(s.points, plateau.Point{At: at, Value: value})
	}
	return nil
}

// judgeSoak prints the slope of each series and returns an error that names those that grow.
func judgeSoak(out io.Writer, all []*series, markdown bool) error {
	table := [][]string{{
		"node", "measure", "mean", "maximum", "slope/min", "of the mean", "in the second half", "verdict",
	}}
	var growing []string
	for _, s := range all {
		v, err := plateau.Judge(s.points, s.gauge.slack)
		if err != nil {
			return err
		}
		verdict := "plateau"
		if v.Grows {
			verdict = "GROWS"
			growing = append(growing, fmt.Sprintf("%s of node %d", s.gauge.name, s.member.number))
		}
		most := s.points[0].Value
		for _, p := range s.points {
			most = max(most, p.Value)
		}
		perMinute := 0.0
		if v.Mean != 0 {
			perMinute = v.Slope / v.Mean
		}
		table = append(table, []string{
			fmt.Sprint(s.member.number), s.gauge.name, fmt.Sprintf("%.2f", v.Mean/s.gauge.unit),
			fmt.Sprintf("%.2f", most/s.gauge.unit), fmt.Sprintf("%+.3f", v.Slope/s.gauge.unit),
			fmt.Sprintf("%+.2f%%", 100*perMinute), fmt.Sprintf("%+.1f%%", 100*v.Growth), verdict,
		})
	}
	printTable := printPlain
	if markdown {
		printTable = printMarkdown
	}
	if err := printTable(out, table); err != nil {
		return err
	}
	if len(growing) > 0 {
		return fmt.Errorf("these grow instead of reaching a plateau: %s", strings.Join(growing, ", "))
	}
	return nil
}
