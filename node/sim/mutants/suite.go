package mutants

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Suite hunts mutants, to check that every one is caught.
type Suite struct {
	Mutants []Mutant
	Hunter  Hunter
	Workers int      // number of mutants that are built and hunted at once
	Only    []string // ids; none: all
	// Limit is how long the hunt for one mutant may take. One that hangs the simulator is not caught.
	Limit time.Duration
	// Progress is called with the result of every mutant when its hunt is over; nil: it is not called.
	Progress func(Row)
}

// Hunter is what catches mutants: the simulator, or the tests of a package.
type Hunter interface {
	// Build builds the program that hunts a mutant, with the mutant in it, into a file.
	Build(ctx context.Context, m Mutant, program string) error
	// Hunt runs that program and returns what it found; nil: nothing.
	Hunt(ctx context.Context, m Mutant, program string) (*Catch, error)
}

// Row is the result of one mutant; of the unchanged code if ID is empty.
type Row struct {
	Mutant
	Catch *Catch
	// Err is why a mutant is not caught: ErrMissing, ErrAmbiguous, ErrDead, ErrNotCaught, or a simulator that failed.
	Err  error
	Took time.Duration
}

// Results of a hunt.
var (
	// ErrNotCaught reports that no run showed the bug: a hole in the checkers, or faults that are too mild.
	ErrNotCaught = errors.New("not caught")
	// ErrFalseAlarm reports that the code without any mutant shows a violation, so that no catch proves anything.
	ErrFalseAlarm = errors.New("a violation without any mutant")
)

// Run hunts every mutant, and then the unchanged code on the seeds that caught them, where nothing may be found. The
// rows come with the healthy ones first, then by trap. An error means that the hunt could not begin; what went wrong
// with a mutant is in its row.
func (s *Suite) Run(ctx context.Context) ([]Row, error) {
	chosen, err := s.chosen()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	rows := s.hunt(ctx, folder, chosen)
	healthy := s.hunt(ctx, folder, healthyRuns(rows))
	return append(healthy, rows...), ctx.Err()
}

func (s *Suite) chosen() ([]Row, error) {
	var rows []Row
	if len(s.Only) == 0 {
		for _, m := range s.Mutants {
			rows = append(rows, Row{Mutant: m})
		}
		return rows, nil
	}
	for _, id := range s.Only {
		m, err := find(s.Mutants, id)
		if err != nil {
			return nil, err
		}
		rows = append(rows, Row{Mutant: m})
	}
	return rows, nil
}

// healthyRuns returns runs of the unchanged code with the options of every mutant that was caught, each set once, on
// the seeds up to the last one that caught such a mutant: a catch proves something if the same seed is healthy without
// it.
func healthyRuns(rows []Row) []Row {
	var runs []Row
	last := map[int]uint64{} // by place in runs
	for _, row := range rows {
		if row.Catch == nil {
			continue
		}
		i := slices.IndexFunc(runs, func(r Row) bool { return slices.Equal(r.Options, row.Options) })
		if i < 0 {
			i = len(runs)
			runs = append(runs, Row{Mutant: Mutant{About: healthyAbout(row.Options), Options: row.Options}})
		}
		last[i] = max(last[i], row.Catch.Seed)
		runs[i].Seeds = fmt.Sprintf("0..%d", last[i])
	}
	return runs
}

func healthyAbout(options []string) string {
	if len(options) == 0 {
		return "the code as it is"
	}
	return "the code as it is, " + strings.Join(options, " ")
}

// hunt fills the rows, Workers at a time.
func (s *Suite) hunt(ctx context.Context, folder string, rows []Row) []Row {
	var wait sync.WaitGroup
	next := make(chan int)
	var told sync.Mutex
	for range s.Workers {
		wait.Go(func() {
			for i := range next {
				began := time.Now()
				rows[i].Catch, rows[i].Err = s.huntOne(ctx, filepath.Join(folder, fmt.Sprintf("hunter-%d", i)), &rows[i])
				rows[i].Took = time.Since(began)
				if s.Progress != nil {
					told.Lock()
					s.Progress(rows[i])
					told.Unlock()
				}
			}
		})
	}
	for i := range rows {
		next <- i
	}
	close(next)
	wait.Wait()
	return rows
}

// huntOne builds the hunter with one mutant and runs it.
func (s *Suite) huntOne(ctx context.Context, program string, row *Row) (*Catch, error) {
	if err := s.Hunter.Build(ctx, row.Mutant, program); err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(program) }()
	ctx, cancel := context.WithTimeout(ctx, s.Limit)
	defer cancel()
	c, err := s.Hunter.Hunt(ctx, row.Mutant, program)
	switch {
	case err != nil:
		return nil, err
	case row.ID == "" && c != nil:
		return c, fmt.Errorf("%w: %s at seed %d: %s", ErrFalseAlarm, c.Invariant, c.Seed, c.Detail)
	case row.ID != "" && c == nil:
		return nil, ErrNotCaught
	}
	return c, nil
}
