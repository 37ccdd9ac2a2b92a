package scenario

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node/sim"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// Scenario is what happens to a cluster, line by line, and what must come of it. Only the faults that it contains
// happen; chance, from the seed, decides how long everything takes. See Parse.
type Scenario struct {
	// Title describes it in a few words.
	Title string
	// Nodes is the number of nodes.
	Nodes int
	// Clients is the number of clients of random runs beside the requests of the scenario.
	Clients int
	// ElectionTimeout is fixed by the scenario, or drawn from the seed if it is 0.
	ElectionTimeout time.Duration
	// Limits are those of what a node keeps; the zero value: as in production.
	Limits sim.Limits

	lines []line
}

// line is one line of a scenario.
type line struct {
	number int
	text   string
	// do makes something happen. nil: the line only states an expectation, after the actions of the lines before it.
	do action
	// expect is what must come of it; nil: nothing yet.
	expect expectation
}

// action makes something happen, and returns a description. The error states why it cannot.
type action func(s *player) (string, error)

// expectation returns a description of what it found. The error describes what came instead.
type expectation func(s *player) (string, error)

// asWritten is the invariant that a line breaks if its expectation is not met.
const asWritten = "the scenario goes as it is written"

// usualEntries is how many entries an append carries, unless it is configured: as many as in
// production, because how soon a node must have caught up is an expectation of the scenarios.
const usualEntries = 4096

// Run plays a scenario. Every checker watches each step, as in a random run, and the clients' history is judged at the
// end; an outcome that was not expected is a violation that names the line. Of the configuration it uses the seed, the
// timing and the trace; the rest is in the scenario. Result.Script is the scenario with what happened.
func Run(sc Scenario, cfg sim.Config) sim.Result {
	cfg.Mix, cfg.Nodes, cfg.Clients = &engine.Mix{}, sc.Nodes, sc.Clients
	if sc.Clients == 0 {
		cfg.Clients = -1
	}
	cfg.ElectionTimeout = cmp.Or(cfg.ElectionTimeout, sc.ElectionTimeout)
	cfg.MessageEntries = cmp.Or(cfg.MessageEntries, usualEntries)
	if cfg.Limits = sc.Limits; cfg.Limits == (sim.Limits{}) {
		cfg.Limits.Production = true
	}
	w := sim.NewCluster(cfg)
	defer w.Close()
	s := &player{world: w, names: map[string][]*engine.Machine{}, kept: map[*engine.Machine]engine.Housekeeping{}}
	w.Guarded(func() { s.play(sc) })
	r := w.Result()
	r.Script = s.script
	return r
}

// player is where a scenario is played.
type player struct {
	world *sim.Cluster
	names map[string][]*engine.Machine // what `let` named
	// before is the leader and its term when the last action began, with which "another" and "the same" compare.
	before reign
	// kept is what each node had done by then to bound its disk.
	kept map[*engine.Machine]engine.Housekeeping
	// answers are what the clients of the last action received.
	answers []answer
	script  []string
}

// reign is a leader in its term. The zero value: there is none.
type reign struct {
	leader *engine.Machine
	term   uint64
}

func (s *player) reign() reign {
	leader := s.world.Leader()
	if leader == nil {
		return reign{}
	}
	return reign{leader, uint64(leader.Seen.State.Term)}
}

// play plays the scenario, and judges what the clients saw.
func (s *player) play(sc Scenario) {
	w := s.world
	w.StartClients()
	for i := range sc.lines {
		if s.perform(&sc.lines[i]); w.IsStopped() {
			return
		}
	}
	w.Finish()
}

// perform plays one line.
func (s *player) perform(l *line) {
	w := s.world
	s.world.Note("line %d: %s", l.number, l.text)
	var told []string
	tell := func(part func(s *player) (string, error)) {
		if part == nil || w.IsStopped() {
			return
		}
		words, err := part(s)
		if err != nil {
			words = "NO: " + err.Error()
			w.Broken(asWritten, "line %d, %s: %v", l.number, l.text, err)
		}
		if words != "" {
			told = append(told, words)
		}
	}
	if l.do != nil {
		s.before, s.answers = s.reign(), nil
		for _, m := range w.Machines {
			s.kept[m] = m.Disk.Kept
		}
		tell(l.do)
	}
	tell(l.expect)
	s.script = append(s.script, fmt.Sprintf("%3d  %-72s # %7.3fs  %s", l.number, l.text, w.Now().Seconds(),
		strings.Join(told, "; ")))
}

// pass lets time pass until a condition holds, or for a limit.
func (s *player) pass(limit time.Duration, so func() bool) {
	w, over := s.world, false
	w.After(limit, nil, func() { over = true })
	for !so() && !over && !w.IsStopped() && w.Advance() {
	}
}

// span is a duration, or a number of election timeouts.
type span struct {
	fixed    time.Duration
	timeouts int64
}

func (d span) in(w *sim.Cluster) time.Duration {
	return d.fixed + time.Duration(d.timeouts)*w.Config.ElectionTimeout
}
