package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/kv"
)

// hungUp is how long a client of a scenario waits for an answer: twice as long as a node may take for one.
const hungUp = 10 * time.Second

// atOnce is how many commands go into one request of `write`.
const atOnce = 50

// What a client can be told, as it stands after =>. A read that succeeds tells a number, or that there is none.
const (
	toldOK      = "ok"
	toldRefused = "refused" // surely not done
	toldUnknown = "unknown" // it may be done, or may yet be (trap T49)
	toldAbsent  = "absent"
)

// answer is what a client was told.
type answer struct {
	told  string
	by    string
	words string // all that was told
	took  time.Duration
}

// readPut: the same put twice could not be told apart in the log, so it is refused.
func readPut(in *words) deed {
	key := in.name("a key")
	in.must("=")
	number := in.count("a value", 1_000_000)
	in.must("on")
	g := in.group()
	if in.err == nil {
		text := fmt.Sprintf("%s=%d", key, number)
		if first := in.parser.written[text]; first > 0 {
			in.fail("line %d puts the same: give another number, so that the two can be told apart", first)
		}
		in.parser.written[text] = in.parser.number
	}
	return func(s *staging) (string, error) {
		machines, err := s.machines(g)
		if err != nil {
			return "", err
		}
		if len(machines) > 1 {
			return "", fmt.Errorf("a put goes through one node, not through %s; say `write 1` for one through each",
				called(machines))
		}
		s.ask(machines[0], &operation{kind: kv.OpPut, key: key, number: number})
		return "", nil
	}
}

func readStale(in *words) deed {
	in.must("get")
	return readGet(in, stale)
}

// readRecent: a read of the node's own state, if that is no older than a time.
func readRecent(in *words) deed {
	in.must("get")
	key := in.name("a key")
	in.must("no", "older", "than")
	d := in.span()
	in.must("on")
	return askEach(in.group(), func(s *staging, m *machine) {
		s.ask(m, &operation{kind: kv.OpGet, key: key, fresh: recent, maxStale: d.in(s.world)})
	})
}

func readGet(in *words, fresh freshness) deed {
	key := in.name("a key")
	in.must("on")
	return askEach(in.group(), func(s *staging, m *machine) {
		s.ask(m, &operation{kind: kv.OpGet, key: key, fresh: fresh})
	})
}

// askEach is the deed that asks each node of a group, one after the other.
func askEach(g group, ask func(s *staging, m *machine)) deed {
	return func(s *staging) (string, error) {
		machines, err := s.machines(g)
		if err != nil {
			return "", err
		}
		for _, m := range machines {
			ask(s, m)
		}
		return "", nil
	}
}

// readWrite: so many writes through each node, each to be told apart from all others.
func readWrite(in *words) deed {
	count := in.count("writes", mostWrites)
	in.must("on")
	return askEach(in.group(), func(s *staging, m *machine) {
		for left := int(count); left > 0; left -= atOnce {
			batch := make([]*operation, min(left, atOnce))
			for i := range batch {
				s.world.clients.numbers++
				batch[i] = &operation{kind: kv.OpPut, key: "many." + strconv.Itoa(i), number: s.world.clients.numbers}
			}
			s.ask(m, batch...)
		}
	})
}

// ask sends a request as the clients of random runs do, waits until it is answered, and keeps the answers.
func (s *staging) ask(m *machine, operations ...*operation) {
	w := s.world
	c := &w.clients
	c.clock++
	for _, o := range operations {
		o.call = c.clock
		c.history = append(c.history, o)
	}
	answered, began := false, w.now
	limit := c.limit
	c.limit = hungUp
	c.process.Go(func() {
		c.attempt(m, operations)
		c.over(operations)
		answered = true
	})
	w.settle(c.process)
	c.limit = limit
	for !answered && w.violation == nil && w.advance() {
	}
	for _, o := range operations {
		s.answers = append(s.answers, answer{o.told(), fmt.Sprintf("node %d", o.node), o.brief(), w.now - began})
	}
}

// told is what an operation was told, as a scenario writes it.
func (o *operation) told() string {
	switch {
	case o.outcome == refused:
		return toldRefused
	case o.outcome == unknown:
		return toldUnknown
	case o.reason != nil:
		return "refused by the store"
	case !o.isRead():
		return toldOK
	case o.found:
		return o.value
	}
	return toldAbsent
}

// brief is the same with the reason, if one was given.
func (o *operation) brief() string {
	if o.reason == nil {
		return o.told()
	}
	return fmt.Sprintf("%s (%v)", o.told(), o.reason)
}

func readHandOver(in *words) deed {
	in.must("over", "to")
	g := in.group()
	return func(s *staging) (string, error) {
		machines, err := s.machines(g)
		if err != nil {
			return "", err
		}
		if len(machines) > 1 {
			return "", fmt.Errorf("only one can take over, not %s", called(machines))
		}
		leader := s.world.leader()
		if leader == nil {
			return "", errNoLeader
		}
		s.handOver(leader, machines[0])
		return "", nil
	}
}

// handOver orders a transfer, and waits for what becomes of it.
func (s *staging) handOver(from, to *machine) {
	w, p := s.world, from.process
	began, ended := w.now, false
	a := answer{told: toldUnknown, by: fmt.Sprintf("node %d to node %d", from.id, to.id)}
	p.Go(func() {
		err := p.node.TransferLeadership(p.ctx, to.id)
		switch {
		case err == nil:
			a.told = toldOK
		case errors.Is(err, node.ErrBadTarget), surelyNot(err), errors.Is(err, context.Canceled):
			a.told = toldRefused
		}
		a.words = a.told
		if err != nil {
			a.words += fmt.Sprintf(" (%v)", err)
		}
		ended = true
	})
	w.settle(p)
	s.pass(hungUp, func() bool { return ended })
	if !ended {
		a.words = "nothing was heard of it"
	}
	a.took = w.now - began
	s.answers = append(s.answers, a)
}

// outcomeForms is what can be demanded of a request.
const outcomeForms = "=> ok, refused, unknown, not ok, absent, or a number; several with `or` between them; " +
	"and if you like `within TIME`"

// readOutcome reads what each answer must be.
func readOutcome(in *words) demand {
	var any []string
	for {
		switch word := in.next(); word {
		case toldOK, toldRefused, toldUnknown, toldAbsent:
			any = append(any, word)
		case "not":
			in.must(toldOK)
			any = append(any, toldRefused, toldUnknown)
		default:
			if _, err := strconv.ParseInt(word, 10, 64); err != nil {
				in.fail("what the client is told must come where %q stands", word)
			}
			any = append(any, word)
		}
		if !in.takes("or") {
			break
		}
	}
	var limit span
	if in.takes("within") {
		limit = in.span()
	}
	return func(s *staging) (string, error) { return judgeAnswers(s.answers, any, limit.in(s.world)) }
}

// judgeAnswers compares what the clients were told with what they should have been, any of them; limit 0: however late.
func judgeAnswers(answers []answer, any []string, limit time.Duration) (string, error) {
	longest := time.Duration(0)
	for _, a := range answers {
		longest = max(longest, a.took)
		switch took := a.took.Round(time.Microsecond); {
		case !slices.Contains(any, a.told):
			return "", fmt.Errorf("expected %s, but the client was told, after %v, by %s: %s", strings.Join(any, " or "), took,
				a.by, a.words)
		case limit > 0 && a.took > limit:
			return "", fmt.Errorf("expected an answer within %v, but it took %v: %s: %s", limit, took, a.by, a.words)
		}
	}
	if len(answers) == 0 {
		return "", errors.New("nobody was asked")
	}
	return fmt.Sprintf("%s, after %v at most", sumUp(answers), longest.Round(time.Microsecond)), nil
}

// sumUp names together those who told the same.
func sumUp(answers []answer) string {
	var order []string
	by := map[string][]string{}
	for _, a := range answers {
		if by[a.words] == nil {
			order = append(order, a.words)
		}
		if !slices.Contains(by[a.words], a.by) {
			by[a.words] = append(by[a.words], a.by)
		}
	}
	for i, words := range order {
		order[i] = strings.Join(by[words], ", ") + ": " + words
	}
	return strings.Join(order, "; ")
}
