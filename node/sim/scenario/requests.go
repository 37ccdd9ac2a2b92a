package scenario

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
	"github.com/kontiki-dev/kontiki/node/sim/check"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// hungUp is how long a client of a scenario waits for an answer: twice as long as a node may take for one.
const hungUp = 10 * time.Second

// atOnce is the number of commands in one request of `write`.
const atOnce = 50

// Answers of a client as written after =>. A read that succeeds returns a number, or absent.
const (
	toldOK      = "ok"
	toldRefused = "refused" // surely not done
	toldUnknown = "unknown" // it may be done, or may yet be (trap T49)
	toldAbsent  = "absent"
)

// answer is what a client received.
type answer struct {
	told  string
	by    string
	words string // the complete answer
	took  time.Duration
}

// readPut: two equal puts could not be distinguished in the log, so the second is refused.
func readPut(in *words) action {
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
	return func(s *player) (string, error) {
		machines, err := s.machines(g)
		if err != nil {
			return "", err
		}
		if len(machines) > 1 {
			return "", fmt.Errorf("a put goes through one node, not through %s; say `write 1` for one through each",
				called(machines))
		}
		s.ask(machines[0], &check.Operation{Kind: kv.OpPut, Key: key, Number: number})
		return "", nil
	}
}

func readStale(in *words) action {
	in.must("get")
	return readGet(in, check.Operation{Fresh: check.Stale})
}

// readLease: a read that the lease of the leader may confirm.
func readLease(in *words) action {
	in.must("get")
	return readGet(in, check.Operation{Lease: true})
}

// readRecent: a read of the node's own state, if that is no older than a time.
func readRecent(in *words) action {
	in.must("get")
	key := in.name("a key")
	in.must("no", "older", "than")
	d := in.span()
	in.must("on")
	return askEach(in.group(), func(s *player, m *engine.Machine) {
		s.ask(m, &check.Operation{Kind: kv.OpGet, Key: key, Fresh: check.Recent, MaxStale: d.in(s.world)})
	})
}

func readGet(in *words, read check.Operation) action {
	key := in.name("a key")
	in.must("on")
	return askEach(in.group(), func(s *player, m *engine.Machine) {
		o := read
		o.Kind, o.Key = kv.OpGet, key
		s.ask(m, &o)
	})
}

// askEach is the action that sends a request to each node of a group, one after the other.
func askEach(g group, ask func(s *player, m *engine.Machine)) action {
	return func(s *player) (string, error) {
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

// readWrite: so many writes through each node, each distinct from all others.
func readWrite(in *words) action {
	count := in.count("writes", mostWrites)
	in.must("on")
	return askEach(in.group(), func(s *player, m *engine.Machine) {
		for left := int(count); left > 0; left -= atOnce {
			batch := make([]*check.Operation, min(left, atOnce))
			for i := range batch {
				batch[i] = &check.Operation{Kind: kv.OpPut, Key: "many." + strconv.Itoa(i), Number: s.world.NextNumber()}
			}
			s.ask(m, batch...)
		}
	})
}

// ask sends a request as the clients of random runs do, waits until it is answered, and keeps the answers.
func (s *player) ask(m *engine.Machine, operations ...*check.Operation) {
	w := s.world
	answered, began := false, w.Now()
	w.Ask(m, hungUp, operations, func() { answered = true })
	for !answered && !w.IsStopped() && w.Advance() {
	}
	for _, o := range operations {
		s.answers = append(s.answers, answer{told(o), fmt.Sprintf("node %d", o.Node), brief(o), w.Now() - began})
	}
}

// The answer to an operation, as a scenario writes it.
func told(o *check.Operation) string {
	switch {
	case o.Outcome == check.Refused:
		return toldRefused
	case o.Outcome == check.Unknown:
		return toldUnknown
	case o.Reason != nil:
		return "refused by the store"
	case !o.IsRead():
		return toldOK
	case o.Found:
		return o.Value
	}
	return toldAbsent
}

// brief is the same with the reason, if there is one.
func brief(o *check.Operation) string {
	if o.Reason == nil {
		return told(o)
	}
	return fmt.Sprintf("%s (%v)", told(o), o.Reason)
}

func readHandOver(in *words) action {
	in.must("over", "to")
	g := in.group()
	return func(s *player) (string, error) {
		machines, err := s.machines(g)
		if err != nil {
			return "", err
		}
		if len(machines) > 1 {
			return "", fmt.Errorf("only one can take over, not %s", called(machines))
		}
		leader := s.world.Leader()
		if leader == nil {
			return "", errNoLeader
		}
		s.handOver(leader, machines[0])
		return "", nil
	}
}

// handOver orders a transfer, and waits for its result.
func (s *player) handOver(from, to *engine.Machine) {
	w, p := s.world, from.Process
	began, ended := w.Now(), false
	a := answer{told: toldUnknown, by: fmt.Sprintf("node %d to node %d", from.ID, to.ID)}
	p.Go(func() {
		err := p.Node.TransferLeadership(p.Ctx, to.ID)
		switch {
		case err == nil:
			a.told = toldOK
		case errors.Is(err, node.ErrBadTarget), check.SurelyNot(err), errors.Is(err, context.Canceled):
			a.told = toldRefused
		}
		a.words = a.told
		if err != nil {
			a.words += fmt.Sprintf(" (%v)", err)
		}
		ended = true
	})
	w.Settle(p)
	s.pass(hungUp, func() bool { return ended })
	if !ended {
		a.words = "nothing was heard of it"
	}
	a.took = w.Now() - began
	s.answers = append(s.answers, a)
}

// outcomeForms is what can be expected of a request.
const outcomeForms = "=> ok, refused, unknown, not ok, absent, or a number; several with `or` between them; " +
	"and if you like `within TIME`"

// readOutcome parses what each answer must be.
func readOutcome(in *words) expectation {
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
	return func(s *player) (string, error) { return judgeAnswers(s.answers, any, limit.in(s.world)) }
}

// judgeAnswers compares the answers that the clients got with the expected ones; limit 0: however late.
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
		return "", errors.New("no node was asked")
	}
	return fmt.Sprintf("%s, after %v at most", sumUp(answers), longest.Round(time.Microsecond)), nil
}

// sumUp groups the nodes with the same answer.
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
