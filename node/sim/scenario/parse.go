package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/sim"
)

// Bounds of a scenario, so that a typing error does not run for hours.
const (
	mostMembers = 9
	mostClients = 20
	mostWrites  = 10_000
	longestSpan = 10 * time.Minute
	mostRounds  = 1000 // election timeouts
)

// Parse parses a scenario. What comes after a # is a comment. The first lines are the setting:
//
//	scenario TITLE
//	nodes 5
//	clients 4                  (optional: random clients work beside the scenario)
//	election-timeout 150ms     (optional: else drawn from the seed)
//	limits window=5,cut=1      (optional: what a node keeps, as raftsim's option -limits; else as in production)
//
// Then come the actions, one to a line, and beside each, after =>, what must come of it. A line that begins with =>
// states another expectation of the same action. DESIGN.md of package sim lists the actions and the expectations. The
// error names the line, and states what would be right.
func Parse(text string) (Scenario, error) {
	p := parser{names: map[string]bool{}, written: map[string]int{}}
	for i, raw := range strings.Split(text, "\n") {
		raw, _, _ = strings.Cut(raw, "#")
		if raw = strings.TrimSpace(raw); raw == "" {
			continue
		}
		p.number = i + 1
		if err := p.line(raw); err != nil {
			return Scenario{}, fmt.Errorf("line %d, %s: %w", i+1, raw, err)
		}
	}
	switch {
	case p.scenario.Title == "":
		return Scenario{}, errors.New("the scenario has no title: begin with `scenario TITLE`")
	case p.expectations == 0:
		return Scenario{}, errors.New("the scenario expects nothing, so it could not fail: write => behind an event, " +
			"and what must come of it")
	}
	return p.scenario, nil
}

// parser holds what was parsed so far.
type parser struct {
	scenario     Scenario
	number       int             // of the line
	names        map[string]bool // that `let` gave
	written      map[string]int  // each put, and its line: equal ones could not be distinguished in the log
	expectations int
}

// line parses one line, without comment and surrounding space.
func (p *parser) line(text string) error {
	before, after, expects := strings.Cut(text, "=>")
	in := p.words(before)
	if given, ok := givens[in.peek()]; ok {
		return p.given(in, given, strings.TrimSpace(before), expects)
	}
	if p.scenario.Title == "" || p.scenario.Nodes == 0 {
		return errors.New("the scenario begins with `scenario TITLE` and `nodes NUMBER`, before the first event")
	}
	l := line{number: p.number, text: strings.Join(strings.Fields(text), " ")}
	var v *verb
	switch {
	case in.peek() != "":
		v = verbNamed(in.next())
		if v == nil {
			return fmt.Errorf("there is no such event; the events are: %s", verbForms())
		}
		l.do = v.read(in)
		if err := in.end(v.form); err != nil {
			return err
		}
	case len(p.scenario.lines) == 0:
		return errors.New("there is no event yet of which anything could be expected")
	}
	if err := p.expectation(&l, v != nil && v.asks, after, expects); err != nil {
		return err
	}
	p.scenario.lines = append(p.scenario.lines, l)
	return nil
}

// expectation parses what is after =>.
func (p *parser) expectation(l *line, asks bool, text string, stands bool) error {
	if !stands {
		if asks {
			return errors.New("say what the client must be told: => ok, for one")
		}
		return nil
	}
	in, form := p.words(text), stateForms
	in.expects = true
	if asks {
		form = outcomeForms
		l.expect = readOutcome(in)
	} else {
		l.expect = readState(in)
	}
	p.expectations++
	return in.end(form)
}

// givens are the lines before the first event.
var givens = map[string]func(*words, *Scenario){
	"scenario":         func(in *words, s *Scenario) { s.Title = in.title() },
	"nodes":            func(in *words, s *Scenario) { s.Nodes = int(in.count("nodes", mostMembers)) },
	"clients":          func(in *words, s *Scenario) { s.Clients = int(in.count("clients", mostClients)) },
	"election-timeout": func(in *words, s *Scenario) { s.ElectionTimeout = in.duration() },
	"limits":           func(in *words, s *Scenario) { s.Limits = in.limits() },
}

func (p *parser) given(in *words, read func(*words, *Scenario), text string, expects bool) error {
	if len(p.scenario.lines) > 0 {
		return errors.New("this must stand before the first event")
	}
	if expects {
		return errors.New("nothing can be expected here: write => behind an event")
	}
	in.next()
	if in.peek() == "" {
		return fmt.Errorf("something is missing behind %q", text)
	}
	read(in, &p.scenario)
	return in.end("scenario TITLE, nodes NUMBER, clients NUMBER, election-timeout TIME, or limits NAME=FIGURE,...")
}

// words are the rest of a part of a line. The first error is kept, and nothing is parsed after it.
type words struct {
	parser  *parser
	text    string // all of the part, unchanged
	rest    []string
	expects bool // they are after =>
	err     error
}

// words cuts a text at its spaces; commas, bars and equal signs are words of their own.
func (p *parser) words(text string) *words {
	spaced := strings.NewReplacer(",", " , ", "|", " | ", "->", " -> ", "=", " = ").Replace(text)
	return &words{parser: p, text: text, rest: strings.Fields(spaced)}
}

func (in *words) fail(format string, args ...any) {
	in.err = cmp.Or(in.err, fmt.Errorf(format, args...))
	in.rest = nil
}

// peek returns the next word without taking it; "" if there is none.
func (in *words) peek() string {
	if len(in.rest) == 0 {
		return ""
	}
	return in.rest[0]
}

func (in *words) next() string {
	word := in.peek()
	if word != "" {
		in.rest = in.rest[1:]
	}
	return word
}

// takes takes the words if they come next.
func (in *words) takes(expected ...string) bool {
	if len(in.rest) < len(expected) || !slices.Equal(in.rest[:len(expected)], expected) {
		return false
	}
	in.rest = in.rest[len(expected):]
	return true
}

// must takes the words, which must come next.
func (in *words) must(expected ...string) {
	if !in.takes(expected...) {
		in.fail("%q must come where %s", strings.Join(expected, " "), in.where())
	}
}

// where describes what is there instead.
func (in *words) where() string {
	if word := in.peek(); word != "" {
		return fmt.Sprintf("%q stands", word)
	}
	return "the words end"
}

// title takes everything after the first word, unchanged.
func (in *words) title() string {
	in.rest = nil
	_, title, _ := strings.Cut(strings.TrimSpace(in.text), " ")
	return strings.Join(strings.Fields(title), " ")
}

// end returns what was wrong, and a rest is an error.
func (in *words) end(form string) error {
	if in.err == nil && len(in.rest) > 0 {
		in.fail("%q is too much", in.peek())
	}
	if in.err != nil {
		return fmt.Errorf("%w; write: %s", in.err, form)
	}
	return nil
}

// count takes a positive number.
func (in *words) count(what string, most int64) int64 {
	number, err := strconv.ParseInt(in.peek(), 10, 64)
	if err != nil || number < 1 || number > most {
		in.fail("the number of %s, 1 to %d, must come where %s", what, most, in.where())
		return 0
	}
	in.next()
	return number
}

// limits takes the rest of the line.
func (in *words) limits() sim.Limits {
	in.rest = nil
	_, text, _ := strings.Cut(strings.TrimSpace(in.text), " ")
	limits, err := sim.ParseLimits(text)
	if err != nil {
		in.err = cmp.Or(in.err, err)
	}
	return limits
}

// duration takes a time such as 150ms or 2s.
func (in *words) duration() time.Duration {
	d, err := time.ParseDuration(in.peek())
	if err != nil || d <= 0 || d > longestSpan {
		in.fail("a time such as 150ms or 2s, up to %v, must come where %s", longestSpan, in.where())
		return 0
	}
	in.next()
	return d
}

// span takes a time such as 2s, or `5 timeouts`.
func (in *words) span() span {
	if len(in.rest) > 1 && in.rest[1] == "timeouts" {
		d := span{timeouts: in.count("timeouts", mostRounds)}
		in.must("timeouts")
		return d
	}
	return span{fixed: in.duration()}
}

var madeUp = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// name takes a name that the scenario defines: a key, or a name of nodes.
func (in *words) name(what string) string {
	word := in.peek()
	if !madeUp.MatchString(word) || slices.Contains(reserved, word) {
		in.fail("%s in lower case, none of the language's own words, must come where %s", what, in.where())
		return ""
	}
	return in.next()
}

// reserved are words that have a meaning where nodes are named.
var reserved = []string{
	"leader", "follower", "followers", "node", "all", "but", "a", "another", "the", "no", "among", "within", "for", "be",
	"on", "over", "to",
}

// nodeID takes the number of a node.
func (in *words) nodeID() raft.NodeID {
	return raft.NodeID(in.count("a node", int64(in.parser.scenario.Nodes)))
}
