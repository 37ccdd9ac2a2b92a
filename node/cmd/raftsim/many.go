package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"github.com/kontiki-dev/kontiki/node/sim"
)

// many runs all seeds of a range, and prints those that break an invariant.
func (p *program) many() (broken bool, err error) {
	seeds, err := sim.ParseSeeds(p.seeds, freshSeed)
	if err != nil {
		return false, fmt.Errorf("%w: -seeds: %w", errUsage, err)
	}
	progress := progress{shown: p.onTerminal(), out: p.stderr, of: seeds.Last - seeds.First + 1}
	if !p.json {
		fmt.Fprintf(p.stdout, "seeds       %v, %d at once\n", seeds, p.workers)
	}
	c := sim.Campaign{Config: p.cfg, Seeds: seeds, Workers: p.workers, First: p.first || p.json}
	c.Over = func(r sim.Result) {
		if r.Violation != nil && !p.json {
			progress.clear()
			cfg := p.cfg
			cfg.Seed = r.Seed
			fmt.Fprintf(p.stdout, "BROKEN      %v\n            %s\n", r.Violation, replay("", cfg))
		}
		progress.over(r)
	}
	watch := startWatch()
	s := c.Run()
	cost := watch.stop(s.Steps)
	progress.clear()
	if p.json {
		return len(s.Violations) > 0, p.printJSON(reportMany(&s, cost))
	}
	summarize(p.stdout, &s, cost)
	return len(s.Violations) > 0, nil
}

// freshSeed returns a random first seed. Twelve digits are enough to make seeds that were run before unlikely, and few
// enough to copy from a screen.
func freshSeed() uint64 { return rand.Uint64N(1_000_000_000_000) }

// onTerminal reports whether the progress is shown on a terminal.
func (p *program) onTerminal() bool {
	file, isFile := p.stderr.(*os.File)
	if !isFile || p.json {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progress shows the progress of a campaign on one line of a terminal, twice a second.
type progress struct {
	shown  bool
	out    io.Writer
	of     uint64
	runs   uint64
	broken int
	last   time.Time
}

func (p *progress) over(r sim.Result) {
	p.runs++
	if r.Violation != nil {
		p.broken++
	}
	if now := time.Now(); p.shown && now.Sub(p.last) > time.Second/2 {
		p.last = now
		fmt.Fprintf(p.out, "\r%d of %d seeds, %d broken ", p.runs, p.of, p.broken)
	}
}

// clear removes the line.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
