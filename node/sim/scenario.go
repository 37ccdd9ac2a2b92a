package sim

import (
	"fmt"
	"strings"
	"time"
)

// Scenario is a story that a person wrote: what happens to a cluster, line by line, and what must come of it. Nothing
// goes wrong in it but what it says; chance, from the seed, decides how long everything takes. See ParseScenario.
type Scenario struct {
	// Title says in a few words what the story is about.
	Title string
	// Nodes is how many there are.
	Nodes int
	// Clients work on the store all the while, as in a random run, beside the requests of the story. 0: none.
	Clients int
	// ElectionTimeout is fixed by the story, or drawn from the seed if it is 0.
	ElectionTimeout time.Duration

	lines []scene
}

// scene is one line of a scenario.
type scene struct {
	number int
	text   string
	// do lets something happen. nil: the line only demands, after what the lines before it did.
	do deed
	// demand is what must come of it; nil: nothing yet.
	demand demand
}

// deed lets something happen, and tells what it was, in words. The error says why it cannot.
type deed func(s *staging) (string, error)

// demand tells what it found, in words. The error says what else came than it wants.
type demand func(s *staging) (string, error)

// promiseOfScenario is what a line breaks that expected something else.
const promiseOfScenario = "the scenario goes as it is written"

// usualEntries is how many entries an append carries, unless the configuration says otherwise: as many as in
// production, because how soon a node must have caught up is a demand of the stories.
const usualEntries = 4096

// RunScenario lives through a story. Every checker watches each step, as in a random run, and the clients' history is
// judged at the end; an outcome that was not expected is a violation that names the line. Of the configuration it
// takes the seed, the timing and the trace; the story itself says the rest. Result.Script is the story as it went.
func RunScenario(sc Scenario, cfg Config) Result {
	cfg.Mix, cfg.Nodes, cfg.Clients = &Mix{}, sc.Nodes, sc.Clients
	if sc.Clients == 0 {
		cfg.Clients = -1
	}
	fill(&cfg.ElectionTimeout, sc.ElectionTimeout)
	fill(&cfg.MessageEntries, usualEntries)
	w := newWorld(cfg)
	defer w.close()
	s := &staging{world: w, names: map[string][]*machine{}}
	w.guarded(func() { s.play(sc) })
	r := w.result()
	r.Script = s.script
	return r
}

// staging is where a scenario is played.
type staging struct {
	world *World
	names map[string][]*machine // what `let` named
	// before is who led when the last deed began, and in which term: what "another" and "the same" compare with.
	before reign
	// answers are what the clients of the last deed were told.
	answers []answer
	script  []string
}

// reign is a leader in its term. The zero value: nobody leads.
type reign struct {
	leader *machine
	term   uint64
}

func (s *staging) reign() reign {
	leader := s.world.leader()
	if leader == nil {
		return reign{}
	}
	return reign{leader, uint64(leader.seen.state.Term)}
}

// play goes through the story, and judges what the clients saw.
func (s *staging) play(sc Scenario) {
	w := s.world
	w.startClients()
	for i := range sc.lines {
		if s.perform(&sc.lines[i]); w.violation != nil {
			return
		}
	}
	w.healed = true
	w.judgeHistory()
}

// perform does one line.
func (s *staging) perform(l *scene) {
	w := s.world
	s.world.note(note{kind: notePhase, text: fmt.Sprintf("line %d: %s", l.number, l.text)})
	var told []string
	tell := func(part func(s *staging) (string, error)) {
		if part == nil || w.violation != nil {
			return
		}
		words, err := part(s)
		if err != nil {
			words = "NO: " + err.Error()
			w.broken(promiseOfScenario, "line %d, %s: %v", l.number, l.text, err)
		}
		if words != "" {
			told = append(told, words)
		}
	}
	if l.do != nil {
		s.before, s.answers = s.reign(), nil
		tell(l.do)
	}
	tell(l.demand)
	s.script = append(s.script, fmt.Sprintf("%3d  %-72s # %7.3fs  %s", l.number, l.text, w.now.Seconds(),
		strings.Join(told, "; ")))
}

// pass lets time go by until something is so, or until there was enough of it.
func (s *staging) pass(limit time.Duration, so func() bool) {
	w, over := s.world, false
	w.after(limit, nil, func() { over = true })
	for !so() && !over && w.violation == nil && w.advance() {
	}
}

// span is a length of time: so much, or so many election timeouts.
type span struct {
	fixed    time.Duration
	timeouts int64
}

func (d span) in(w *World) time.Duration {
	return d.fixed + time.Duration(d.timeouts)*w.cfg.ElectionTimeout
}
