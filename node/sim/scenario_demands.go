package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// claim says that the cluster is in some state now. The error says how it is instead.
type claim func(s *staging) error

// stateForms is what can be demanded of the cluster.
const stateForms = "=> a leader, another leader, the same leader or no leader, if you like `among GROUP`; " +
	"GROUP up, down, agree, sound or down, behind by NUMBER, or refuse to start; and if you like " +
	"`within TIME` (it comes to be so) or " +
	"`for TIME` (it stays so)"

// readState reads what must be so: at once, or within a time, or for as long.
func readState(in *words) demand {
	so := readClaim(in)
	switch {
	case in.takes("within"):
		limit := in.span()
		return func(s *staging) (string, error) { return s.comes(so, limit.in(s.world)) }
	case in.takes("for"):
		limit := in.span()
		return func(s *staging) (string, error) { return s.stays(so, limit.in(s.world)) }
	}
	return func(s *staging) (string, error) { return s.comes(so, 0) }
}

// comes waits until it is so.
func (s *staging) comes(so claim, limit time.Duration) (string, error) {
	began, err := s.world.now, so(s)
	if err != nil && limit > 0 {
		s.pass(limit, func() bool {
			err = so(s)
			return err == nil
		})
	}
	if err != nil {
		return "", fmt.Errorf("not so after %v: %w; %s", s.world.now-began, err, s.world.standing())
	}
	return fmt.Sprintf("so after %v%s", (s.world.now - began).Round(time.Microsecond), s.whoLeads()), nil
}

// stays demands that it is so all the while.
func (s *staging) stays(so claim, limit time.Duration) (string, error) {
	began, err := s.world.now, error(nil)
	s.pass(limit, func() bool {
		err = so(s)
		return err != nil
	})
	if err != nil {
		return "", fmt.Errorf("no longer so after %v: %w; %s", s.world.now-began, err, s.world.standing())
	}
	return "so all the while" + s.whoLeads(), nil
}

func (s *staging) whoLeads() string {
	if now := s.reign(); now.leader != nil {
		return fmt.Sprintf(", node %d leads term %d", now.leader.id, now.term)
	}
	return ", nobody leads"
}

// everybody is all nodes.
var everybody = group{allBut: true}

func readClaim(in *words) claim {
	leads := map[string]func(s *staging, among []*machine) error{
		"a": oneLeads, "another": anotherLeads, "the": sameLeads, "no": nobodyLeads,
	}
	if about, ok := leads[in.peek()]; ok {
		if in.next() == "the" {
			in.must("same")
		}
		in.must("leader")
		among := everybody
		if in.takes("among") {
			among = in.group()
		}
		return of(among, about)
	}
	g := in.group()
	switch {
	case in.takes("up"):
		return of(g, areUp)
	case in.takes("down"):
		return of(g, areDown)
	case in.takes("sound", "or", "down"):
		return of(g, soundOrDown)
	case in.takes("agree"):
		return of(g, agree)
	case in.takes("refuse", "to", "start"), in.takes("refuses", "to", "start"):
		return of(g, refuseToStart)
	case in.takes("behind", "by"):
		by := raft.Index(in.count("entries", mostWrites))
		return of(g, func(s *staging, machines []*machine) error { return areBehind(s, machines, by) })
	}
	in.fail("what must be so must come where %s", in.where())
	return nil
}

// of applies a claim to a group, as it is at the moment.
func of(g group, so func(s *staging, machines []*machine) error) claim {
	return func(s *staging) error {
		machines, err := s.machines(g)
		if err != nil {
			return err
		}
		return so(s, machines)
	}
}

// oneLeads: one of them leads, and those of them that run follow it in its term.
func oneLeads(s *staging, among []*machine) error {
	now := s.reign()
	if now.leader == nil {
		return errNoLeader
	}
	if !slices.Contains(among, now.leader) {
		return fmt.Errorf("node %d leads, which is none of %s", now.leader.id, called(among))
	}
	for _, m := range among {
		if m.process == nil {
			continue
		}
		if m.seen.process != m.process || m.seen.leader != now.leader.id || uint64(m.seen.state.Term) != now.term {
			return fmt.Errorf("node %d does not follow node %d in term %d", m.id, now.leader.id, now.term)
		}
	}
	return nil
}

// anotherLeads: than when the event began, and in a later term.
func anotherLeads(s *staging, among []*machine) error {
	now := s.reign()
	switch {
	case now.leader == nil:
		return errNoLeader
	case s.before.leader == nil:
		return errors.New("nobody led before, so nobody is another")
	case now.leader == s.before.leader:
		return fmt.Errorf("node %d leads as before", now.leader.id)
	case now.term <= s.before.term:
		return fmt.Errorf("term %d is not later than %d", now.term, s.before.term)
	}
	return oneLeads(s, among)
}

// sameLeads: who led when the event began leads on in its term, and none of them is in a later one.
func sameLeads(s *staging, among []*machine) error {
	now := s.reign()
	if now.leader == nil {
		return errNoLeader
	}
	if now != s.before {
		return fmt.Errorf("node %d leads term %d, and term %d was going on before", now.leader.id, now.term, s.before.term)
	}
	for _, m := range among {
		if m.process != nil && m.seen.process == m.process && uint64(m.seen.state.Term) > now.term {
			return fmt.Errorf("node %d went on to term %d", m.id, m.seen.state.Term)
		}
	}
	return nil
}

func nobodyLeads(_ *staging, among []*machine) error {
	for _, m := range among {
		if m.inOffice() {
			return fmt.Errorf("node %d leads term %d", m.id, m.seen.state.Term)
		}
	}
	return nil
}

func areUp(_ *staging, machines []*machine) error {
	for _, m := range machines {
		if m.process == nil {
			return fmt.Errorf("node %d is down %s", m.id, m.gone)
		}
	}
	return nil
}

func areDown(_ *staging, machines []*machine) error {
	for _, m := range machines {
		if m.process != nil {
			return fmt.Errorf("node %d runs", m.id)
		}
	}
	return nil
}

// soundOrDown: they hold nothing else than what is committed, and have applied all of it, or have stopped.
func soundOrDown(s *staging, machines []*machine) error {
	for _, m := range machines {
		switch {
		case m.process == nil:
		case m.astray || m.differs():
			return fmt.Errorf("node %d runs with a forged entry", m.id)
		case m.seen.applied != s.world.ledger.last():
			return fmt.Errorf("node %d has applied %d of %d committed entries", m.id, m.seen.applied, s.world.ledger.last())
		}
	}
	return nil
}

// refuseToStart: they ended by themselves, and know that they must not come back with that disk.
func refuseToStart(_ *staging, machines []*machine) error {
	for _, m := range machines {
		if m.process != nil || m.gone == "" {
			return fmt.Errorf("node %d has not refused to start", m.id)
		}
	}
	return nil
}

// areBehind: what is on their disks ends so many entries before the leader's log.
func areBehind(s *staging, machines []*machine, by raft.Index) error {
	now := s.reign()
	if now.leader == nil {
		return errNoLeader
	}
	for _, m := range machines {
		_, entries := m.disk.durable()
		if missing := now.leader.seen.last - min(now.leader.seen.last, raft.Index(len(entries))); missing < by {
			return fmt.Errorf("node %d misses %d entries", m.id, missing)
		}
	}
	return nil
}

// agree: they have applied all that is in their logs, and the logs and the states are equal to the byte.
func agree(s *staging, machines []*machine) error {
	if err := oneLeads(s, machines); err != nil {
		return err
	}
	first := machines[0]
	for _, m := range machines {
		switch {
		case m.process == nil:
			return fmt.Errorf("node %d is down %s", m.id, m.gone)
		case m.seen.applied != m.seen.last:
			return fmt.Errorf("node %d has applied %d of its %d entries", m.id, m.seen.applied, m.seen.last)
		case m.seen.last != first.seen.last:
			return fmt.Errorf("node %d has %d entries, and node %d has %d", m.id, m.seen.last, first.id, first.seen.last)
		}
	}
	_, log := first.disk.durable()
	state := stateOf(first)
	for _, m := range machines[1:] {
		_, other := m.disk.durable()
		if !slices.EqualFunc(log, other, func(a, b raft.Entry) bool { return sameEntry(&a, &b) }) {
			return fmt.Errorf("the logs of nodes %d and %d differ", first.id, m.id)
		}
		if stateOf(m) != state {
			return fmt.Errorf("the states of nodes %d and %d differ", first.id, m.id)
		}
	}
	return nil
}

// stateOf is the checksum of the store on a machine that runs.
func stateOf(m *machine) (sum uint64) {
	m.process.node.Inspect(func(_ *raft.Core, store *kv.Store) { sum = store.Digest() })
	return sum
}
