package scenario

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/sim/check"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// claim checks that the cluster is in some state now. The error describes the actual state.
type claim func(s *player) error

// stateForms is what can be expected of the cluster.
const stateForms = "=> a leader, another leader, the same leader or no leader, if you like `among GROUP`; " +
	"GROUP up, down, agree, sound or down, behind by NUMBER, refuse to start, receive a snapshot, install a snapshot, " +
	"took a snapshot, took none, or read the log; and if you like " +
	"`within TIME` (it comes to be so) or " +
	"`for TIME` (it stays so)"

// readState reads what must be so: at once, or within a time, or for as long.
func readState(in *words) expectation {
	so := readClaim(in)
	switch {
	case in.takes("within"):
		limit := in.span()
		return func(s *player) (string, error) { return s.comes(so, limit.in(s.world)) }
	case in.takes("for"):
		limit := in.span()
		return func(s *player) (string, error) { return s.stays(so, limit.in(s.world)) }
	}
	return func(s *player) (string, error) { return s.comes(so, 0) }
}

// comes waits until it is so.
func (s *player) comes(so claim, limit time.Duration) (string, error) {
	began, err := s.world.Now(), so(s)
	if err != nil && limit > 0 {
		s.pass(limit, func() bool {
			err = so(s)
			return err == nil
		})
	}
	if err != nil {
		return "", fmt.Errorf("not so after %v: %w; %s", s.world.Now()-began, err, s.world.Standing())
	}
	return fmt.Sprintf("so after %v%s", (s.world.Now() - began).Round(time.Microsecond), s.whoLeads()), nil
}

// stays checks that it is so all the while.
func (s *player) stays(so claim, limit time.Duration) (string, error) {
	began, err := s.world.Now(), error(nil)
	s.pass(limit, func() bool {
		err = so(s)
		return err != nil
	})
	if err != nil {
		return "", fmt.Errorf("no longer so after %v: %w; %s", s.world.Now()-began, err, s.world.Standing())
	}
	return "so all the while" + s.whoLeads(), nil
}

func (s *player) whoLeads() string {
	if now := s.reign(); now.leader != nil {
		return fmt.Sprintf(", node %d leads term %d", now.leader.ID, now.term)
	}
	return ", no node leads"
}

// The group of all nodes.
var everybody = group{allBut: true}

func readClaim(in *words) claim {
	leads := map[string]func(s *player, among []*engine.Machine) error{
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
		return of(g, func(s *player, machines []*engine.Machine) error { return areBehind(s, machines, by) })
	}
	if so := readSnapshotClaim(in); so != nil {
		return of(g, so)
	}
	in.fail("what must be so must come where %s", in.where())
	return nil
}

// readSnapshotClaim reads what must be so about snapshots of the leader; nil if that is not what comes.
func readSnapshotClaim(in *words) func(s *player, machines []*engine.Machine) error {
	each := func(missing string, so func(s *player, m *engine.Machine) bool) func(*player, []*engine.Machine) error {
		return func(s *player, machines []*engine.Machine) error {
			for _, m := range machines {
				if !so(s, m) {
					return fmt.Errorf("node %d %s", m.ID, missing)
				}
			}
			return nil
		}
	}
	switch {
	case in.takes("receive", "a", "snapshot"), in.takes("receives", "a", "snapshot"):
		return each("has no part of a snapshot", func(_ *player, m *engine.Machine) bool { return m.Disk.Received() > 0 })
	case in.takes("install", "a", "snapshot"), in.takes("installs", "a", "snapshot"):
		return each("has not replaced its state, or its log already", func(_ *player, m *engine.Machine) bool {
			return m.Disk.IsAhead()
		})
	case in.takes("took", "a", "snapshot"):
		return each("has installed no snapshot", func(s *player, m *engine.Machine) bool {
			return m.Disk.Kept.Installs > s.kept[m].Installs
		})
	case in.takes("took", "none"):
		return each("has installed a snapshot", func(s *player, m *engine.Machine) bool {
			return m.Disk.Kept.Installs == s.kept[m].Installs
		})
	case in.takes("read", "the", "log"):
		return each("has read no entries for a follower", func(s *player, m *engine.Machine) bool {
			return m.Disk.Kept.Reads > s.kept[m].Reads
		})
	}
	return nil
}

// of applies a claim to a group, as it is at the moment.
func of(g group, so func(s *player, machines []*engine.Machine) error) claim {
	return func(s *player) error {
		machines, err := s.machines(g)
		if err != nil {
			return err
		}
		return so(s, machines)
	}
}

// oneLeads: one of them leads, and those of them that run follow it in its term.
func oneLeads(s *player, among []*engine.Machine) error {
	now := s.reign()
	if now.leader == nil {
		return errNoLeader
	}
	if !slices.Contains(among, now.leader) {
		return fmt.Errorf("node %d leads, which is none of %s", now.leader.ID, called(among))
	}
	for _, m := range among {
		if m.Process == nil {
			continue
		}
		if !m.Up() || m.Seen.Leader != now.leader.ID || uint64(m.Seen.State.Term) != now.term {
			return fmt.Errorf("node %d does not follow node %d in term %d", m.ID, now.leader.ID, now.term)
		}
	}
	return nil
}

// anotherLeads: than when the event began, and in a later term.
func anotherLeads(s *player, among []*engine.Machine) error {
	now := s.reign()
	switch {
	case now.leader == nil:
		return errNoLeader
	case s.before.leader == nil:
		return errors.New("no node led before, so no node is another")
	case now.leader == s.before.leader:
		return fmt.Errorf("node %d leads as before", now.leader.ID)
	case now.term <= s.before.term:
		return fmt.Errorf("term %d is not later than %d", now.term, s.before.term)
	}
	return oneLeads(s, among)
}

// sameLeads: who led when the event began leads on in its term, and none of them is in a later one.
func sameLeads(s *player, among []*engine.Machine) error {
	now := s.reign()
	if now.leader == nil {
		return errNoLeader
	}
	if now != s.before {
		return fmt.Errorf("node %d leads term %d, and term %d was going on before", now.leader.ID, now.term, s.before.term)
	}
	for _, m := range among {
		if m.Up() && uint64(m.Seen.State.Term) > now.term {
			return fmt.Errorf("node %d went on to term %d", m.ID, m.Seen.State.Term)
		}
	}
	return nil
}

func nobodyLeads(_ *player, among []*engine.Machine) error {
	for _, m := range among {
		if m.Leads() {
			return fmt.Errorf("node %d leads term %d", m.ID, m.Seen.State.Term)
		}
	}
	return nil
}

func areUp(_ *player, machines []*engine.Machine) error {
	for _, m := range machines {
		if m.Process == nil {
			return fmt.Errorf("node %d is down %s", m.ID, m.Gone)
		}
	}
	return nil
}

func areDown(_ *player, machines []*engine.Machine) error {
	for _, m := range machines {
		if m.Process != nil {
			return fmt.Errorf("node %d runs", m.ID)
		}
	}
	return nil
}

// soundOrDown: they hold nothing else than what is committed, and have applied all of it, or have stopped.
func soundOrDown(s *player, machines []*engine.Machine) error {
	watch := s.world.Watch
	committed := watch.Committed.Last()
	for _, m := range machines {
		switch {
		case m.Process == nil:
		case watch.Astray(m.ID) || watch.Differs(m.ID):
			return fmt.Errorf("node %d runs with a forged entry", m.ID)
		case m.Seen.Applied != committed:
			return fmt.Errorf("node %d has applied %d of %d committed entries", m.ID, m.Seen.Applied, committed)
		}
	}
	return nil
}

// refuseToStart: they ended by themselves, with an error after which they must not run on that disk again.
func refuseToStart(_ *player, machines []*engine.Machine) error {
	for _, m := range machines {
		if m.Process != nil || m.Gone == "" {
			return fmt.Errorf("node %d has not refused to start", m.ID)
		}
	}
	return nil
}

// areBehind: what is on their disks ends so many entries before the leader's log.
func areBehind(s *player, machines []*engine.Machine, by raft.Index) error {
	now := s.reign()
	if now.leader == nil {
		return errNoLeader
	}
	for _, m := range machines {
		_, log := m.Disk.Durable()
		if missing := now.leader.Seen.Last - min(now.leader.Seen.Last, log.Last()); missing < by {
			return fmt.Errorf("node %d misses %d entries", m.ID, missing)
		}
	}
	return nil
}

// sameLog reports whether two logs are equal from where both of them start.
func sameLog(a, b *raft.Log) bool {
	if a.Last() != b.Last() {
		return false
	}
	for i := max(a.Start.Index, b.Start.Index) + 1; i <= a.Last(); i++ {
		if !check.SameEntry(a.Entry(i), b.Entry(i)) {
			return false
		}
	}
	return true
}

// agree: they have applied all that is in their logs, and the logs and the states are equal to the byte.
func agree(s *player, machines []*engine.Machine) error {
	if err := oneLeads(s, machines); err != nil {
		return err
	}
	first := machines[0]
	for _, m := range machines {
		switch {
		case m.Process == nil:
			return fmt.Errorf("node %d is down %s", m.ID, m.Gone)
		case m.Seen.Applied != m.Seen.Last:
			return fmt.Errorf("node %d has applied %d of its %d entries", m.ID, m.Seen.Applied, m.Seen.Last)
		case m.Seen.Last != first.Seen.Last:
			return fmt.Errorf("node %d has %d entries, and node %d has %d", m.ID, m.Seen.Last, first.ID, first.Seen.Last)
		}
	}
	_, log := first.Disk.Durable()
	state := first.State()
	for _, m := range machines[1:] {
		_, other := m.Disk.Durable()
		if !sameLog(&log, &other) {
			return fmt.Errorf("the logs of nodes %d and %d differ", first.ID, m.ID)
		}
		if m.State() != state {
			return fmt.Errorf("the states of nodes %d and %d differ", first.ID, m.ID)
		}
	}
	return nil
}
