package identity

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// errDown is why a member did not answer.
var errDown = errors.New("down")

func TestFoundingQuorumsShareMoreThanMayBeLost(t *testing.T) { // T28
	t.Parallel()
	for n, want := range map[int]int{1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 6: 5, 7: 6, 9: 7} {
		got, mayBeLost := FoundingQuorum(n), (n-1)/2
		if got != want || 2*got-n <= mayBeLost || 2*(got-1)-n > mayBeLost || got > n {
			t.Errorf("%d members are founded by %d, want %d", n, got, want)
		}
	}
}

// Acceptors answer in any order, lose disks, and several members propose at once. Whatever happens, two lists of
// founders are never both agreed on, as long as no more disks are lost than a minority.
func TestOneListOfFoundersAtMostIsAgreedOn(t *testing.T) { // T28
	t.Parallel()
	agreed, lost := 0, 0
	for seed := range uint64(20_000) {
		w := newFoundingWorld(seed)
		w.run(60)
		if len(w.agreed) > 1 {
			t.Fatalf("seed %d: %d lists of founders are agreed on: %v", seed, len(w.agreed), w.agreed)
		}
		agreed += len(w.agreed)
		lost += w.lost
	}
	if agreed < 5_000 || lost < 5_000 {
		t.Errorf("of 20,000 worlds %d were founded, with %d lost disks: they show too little", agreed, lost)
	}
}

// foundingWorld is a set of acceptors and the proposals that are in progress.
type foundingWorld struct {
	rng       *rand.Rand
	members   []Member
	acceptors []Acceptor
	proposals []*foundingProposal
	accepts   map[Ballot]map[raft.NodeID]bool // who ever accepted a ballot
	agreed    map[string]bool
	lost      int
	disks     raft.Incarnation
}

type foundingProposal struct {
	request  GenesisRequest
	promised []raft.Seat
	accepted Ballot
	founders []raft.Seat // of accepted
}

func newFoundingWorld(seed uint64) *foundingWorld {
	w := &foundingWorld{
		rng:     rand.New(rand.NewPCG(seed, 1)),
		accepts: map[Ballot]map[raft.NodeID]bool{}, agreed: map[string]bool{},
	}
	for id := range raft.NodeID(3 + 2*w.rng.IntN(2)) {
		w.members = append(w.members, Member{ID: id + 1, Address: fmt.Sprint("http://", id)})
		w.acceptors = append(w.acceptors, w.newDisk())
	}
	return w
}

func (w *foundingWorld) newDisk() Acceptor {
	w.disks++
	return Acceptor{Incarnation: w.disks}
}

func (w *foundingWorld) run(steps int) {
	for range steps {
		i := w.rng.IntN(len(w.acceptors))
		switch k := w.rng.IntN(20); {
		case k == 0 && w.lost < (len(w.members)-1)/2:
			w.acceptors[i] = w.newDisk()
			w.lost++
		case k < 3 || len(w.proposals) == 0:
			p := &foundingProposal{request: GenesisRequest{Ballot: Ballot{
				Round: w.acceptors[i].Promised.Round + 1, By: w.acceptors[i].Incarnation,
			}}}
			w.proposals = append(w.proposals, p)
			w.deliver(p, i) // a proposer takes its own ballot first
		default:
			w.deliver(w.proposals[w.rng.IntN(len(w.proposals))], i)
		}
	}
}

// deliver takes a proposal to an acceptor, and on to its next phase once a quorum agreed.
func (w *foundingWorld) deliver(p *foundingProposal, i int) {
	member := raft.NodeID(i + 1)
	w.acceptors[i], _ = w.acceptors[i].Handle(p.request)
	a := w.acceptors[i].Answer()
	if len(p.request.Founders) > 0 {
		if a.Accepted == p.request.Ballot {
			if w.accepts[a.Accepted] == nil {
				w.accepts[a.Accepted] = map[raft.NodeID]bool{}
			}
			w.accepts[a.Accepted][member] = true
			if len(w.accepts[a.Accepted]) >= FoundingQuorum(len(w.members)) {
				w.agreed[fmt.Sprint(a.Founders)] = true
			}
		}
		return
	}
	promisedBefore := slices.ContainsFunc(p.promised, func(s raft.Seat) bool { return s.Member == member })
	if a.Promised != p.request.Ballot || promisedBefore {
		return
	}
	p.promised = append(p.promised, raft.Seat{Member: member, Incarnation: a.Incarnation})
	if a.Accepted.Compare(p.accepted) > 0 {
		p.accepted, p.founders = a.Accepted, a.Founders
	}
	if len(p.promised) >= FoundingQuorum(len(w.members)) {
		if p.founders == nil {
			p.founders = p.promised
		}
		p.request.Founders = p.founders
	}
}

// An acceptor may accept a proposal whose ballot it did not take before. Nothing older is accepted after it.
func TestWhatIsAcceptedIsPromisedToo(t *testing.T) { // T28
	t.Parallel()
	newer, older := Ballot{2, 7}, Ballot{2, 5}
	founders, others := []raft.Seat{{Member: 1, Incarnation: 11}}, []raft.Seat{{Member: 2, Incarnation: 12}}
	a, changed := Acceptor{Incarnation: 5}.Handle(GenesisRequest{Ballot: newer, Founders: founders})
	if !changed || a.Accepted != newer || a.Promised != newer {
		t.Fatalf("it stands at %+v", a)
	}
	for _, r := range []GenesisRequest{
		{Ballot: older}, {Ballot: older, Founders: others}, {Ballot: Ballot{1, 9}, Founders: others},
	} {
		if after, changed := a.Handle(r); changed || after.Promised != newer || after.Accepted != newer ||
			!slices.Equal(after.Founders, founders) {
			t.Errorf("after %+v it stands at %+v", r, after)
		}
	}
}

func TestWhereAFoundingStands(t *testing.T) { // T28
	t.Parallel()
	self := raft.Seat{Member: 1, Incarnation: 11}
	silent := GenesisReply{Err: errDown}
	empty := func(incarnation raft.Incarnation) GenesisReply {
		return GenesisReply{GenesisAnswer: GenesisAnswer{Incarnation: incarnation}}
	}
	founders := []raft.Seat{self}
	for id := raft.NodeID(2); id <= 4; id++ {
		founders = append(founders, raft.Seat{Member: id, Incarnation: raft.Incarnation(10 + id)})
	}
	others := slices.Concat([]raft.Seat{{Member: 1, Incarnation: 99}}, founders[1:])
	accepted := func(incarnation raft.Incarnation, founders []raft.Seat) GenesisReply {
		return GenesisReply{GenesisAnswer: GenesisAnswer{
			Incarnation: incarnation, Accepted: Ballot{1, 12}, Founders: founders,
		}}
	}
	working := func(founders, seats []raft.Seat) GenesisReply {
		return GenesisReply{GenesisAnswer: GenesisAnswer{Founded: true, Founders: founders, Seats: seats}}
	}
	for _, c := range []struct {
		name    string
		replies []GenesisReply // of members 1 to 5
		want    Stage
	}{
		{"everyone is empty", []GenesisReply{empty(11), empty(12), empty(13), empty(14), empty(15)}, MayPropose},
		{"one is away", []GenesisReply{empty(11), empty(12), empty(13), empty(14), silent}, MayPropose},
		{"two are away", []GenesisReply{empty(11), empty(12), empty(13), silent, silent}, MustWait},
		{"a quorum accepted", []GenesisReply{
			accepted(11, founders), accepted(12, founders), accepted(13, founders), accepted(14, founders), silent,
		}, IsFounded},
		{"too few accepted", []GenesisReply{
			accepted(11, founders), accepted(12, founders), accepted(13, founders), silent, silent,
		}, MustWait},
		{"another disk of ours was accepted", []GenesisReply{
			accepted(11, others), accepted(12, others), accepted(13, others), accepted(14, others), silent,
		}, DiskIsLost},
		{"disks of no member were accepted", []GenesisReply{
			accepted(21, founders), accepted(22, founders), accepted(23, founders), accepted(24, founders), silent,
		}, MayPropose},
		{"one works", []GenesisReply{empty(11), working(founders, founders), silent, silent, silent}, IsFounded},
		{"one works without us", []GenesisReply{
			empty(11), working(founders[1:], founders[1:]), empty(13), empty(14), empty(15),
		}, IsFounded},
		{"another disk of ours founded", []GenesisReply{
			empty(11), working(others, others), silent, silent, silent,
		}, DiskIsLost},
		{"another disk of ours was seated", []GenesisReply{
			empty(11), working(founders[1:], founders[1:]), working(founders[1:], others), silent, silent,
		}, DiskIsLost},
	} {
		replies := map[raft.NodeID]GenesisReply{}
		for i, r := range c.replies {
			replies[raft.NodeID(i+1)] = r
		}
		if got, _, why := Judge(self, FoundingQuorum(5), replies); got != c.want {
			t.Errorf("%s: outcome %d (%s), want %d", c.name, got, why, c.want)
		}
	}
}

func TestAMessageOfTheFoundingIsCheckedBeforeItCounts(t *testing.T) {
	t.Parallel()
	members := []Member{{ID: 1, Address: "http://a"}, {ID: 2, Address: "http://b"}}
	a := Acceptor{Incarnation: 5, Promised: Ballot{3, 5}}
	seats := func(ids ...raft.NodeID) (list []raft.Seat) {
		for _, id := range ids {
			list = append(list, raft.Seat{Member: id, Incarnation: 7})
		}
		return list
	}
	for name, r := range map[string]GenesisRequest{
		"founders without a ballot":   {Founders: seats(1, 2)},
		"a round that ends all":       {Ballot: Ballot{1 << 53, 5}},
		"a round far ahead":           {Ballot: Ballot{4 + maxRoundsAhead, 5}},
		"no proposer":                 {Ballot: Ballot{Round: 4}},
		"a proposer beyond 2^53":      {Ballot: Ballot{4, 1<<53 + 1}},
		"a founder who is no member":  {Ballot: Ballot{4, 5}, Founders: seats(1, 3)},
		"a founder twice":             {Ballot: Ballot{4, 5}, Founders: seats(1, 1)},
		"founders in the wrong order": {Ballot: Ballot{4, 5}, Founders: seats(2, 1)},
		"an incarnation beyond 2^53":  {Ballot: Ballot{4, 5}, Founders: []raft.Seat{{Member: 1, Incarnation: 1<<53 + 1}}},
	} {
		if err := a.Check(r, members); !errors.Is(err, raft.ErrBadMessage) {
			t.Errorf("%s: %v, want ErrBadMessage", name, err)
		}
	}
	for _, r := range []GenesisRequest{{}, {Ballot: Ballot{4, 9}}, {Ballot: Ballot{1, 9}, Founders: seats(1, 2)}} {
		if err := a.Check(r, members); err != nil {
			t.Errorf("%+v is refused: %v", r, err)
		}
	}
}

// A disk that is started with other members is in another cluster. What it took and accepted does not count there,
// and counts again if it is started in the first one.
func TestAnAcceptorStartsAnewInAnotherCluster(t *testing.T) { // T28, H3
	t.Parallel()
	facts, rng := map[string]string{}, rand.New(rand.NewPCG(1, 2))
	open := func(cluster string) Acceptor {
		a, changes, err := OpenAcceptor(facts, cluster, rng)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(facts, changes)
		return a
	}
	founders := []raft.Seat{{Member: 1, Incarnation: 7}}
	old, _ := open("first").Handle(GenesisRequest{Ballot: Ballot{9, 9}, Founders: founders})
	saved, err := old.Facts()
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(facts, saved)
	again := open("first")
	if again.Incarnation != old.Incarnation || again.Promised != old.Promised {
		t.Errorf("in the same cluster it stands at %+v, want %+v", again, old)
	}
	other := open("second")
	if other.Promised != (Ballot{}) || other.Accepted != (Ballot{}) || len(other.Founders) > 0 {
		t.Errorf("in another cluster it stands at %+v", other)
	}
	if again = open("first"); again.Incarnation != old.Incarnation || again.Promised != old.Promised {
		t.Errorf("back in the first cluster it stands at %+v, want %+v", again, old)
	}
}

// Without its own ballot on its disk a proposer would use it again after a crash.
func TestAProposerMustPromiseItself(t *testing.T) { // T28
	t.Parallel()
	self := raft.Seat{Member: 1, Incarnation: 11}
	ballot := Ballot{Round: 1, By: 11}
	promised := func(incarnation raft.Incarnation) GenesisReply {
		return GenesisReply{GenesisAnswer: GenesisAnswer{Incarnation: incarnation, Promised: ballot}}
	}
	replies := map[raft.NodeID]GenesisReply{1: {Err: errDown}, 2: promised(12), 3: promised(13)}
	if got := Candidates(self, 2, ballot, replies); got != nil {
		t.Errorf("without its own disk it proposes %v", got)
	}
	replies[1] = promised(11)
	if got := Candidates(self, 2, ballot, replies); len(got) != 3 {
		t.Errorf("with the ballot on all disks it proposes %v", got)
	}
}

// Seats that a member reports decide whether an empty node ends as a lost disk, so they are checked like founders.
func TestSeatsThatAMemberTellsAreChecked(t *testing.T) { // T28
	t.Parallel()
	members := []Member{{ID: 1, Address: "http://a"}, {ID: 2, Address: "http://b"}, {ID: 3, Address: "http://c"}}
	seat := func(id raft.NodeID, incarnation raft.Incarnation) raft.Seat {
		return raft.Seat{Member: id, Incarnation: incarnation}
	}
	founders := []raft.Seat{seat(1, 11), seat(3, 13)}
	working := func(seats ...raft.Seat) GenesisAnswer {
		return GenesisAnswer{Incarnation: 13, Founded: true, Founders: founders, Seats: seats}
	}
	for name, a := range map[string]GenesisAnswer{
		"a seat of member 0":             working(seat(0, 11), seat(3, 13)),
		"a seat twice":                   working(seat(1, 11), seat(1, 11)),
		"two disks of one member":        working(seat(2, 12), seat(2, 99)),
		"more seats than members":        working(seat(1, 11), seat(3, 13), seat(2, 12), seat(2, 12)),
		"another disk than a founder's":  working(seat(1, 99), seat(3, 13)),
		"an incarnation beyond 2^53":     working(seat(2, 1<<53+1)),
		"seats before there are any":     {Incarnation: 13, Seats: []raft.Seat{seat(1, 11)}},
		"seats with an accepted ballot":  {Incarnation: 13, Accepted: Ballot{1, 1}, Founders: founders, Seats: founders},
		"no founders of a founded group": {Incarnation: 13, Founded: true, Seats: founders},
	} {
		r := GenesisReply{GenesisAnswer: a}
		if err := r.Check(members); !errors.Is(err, raft.ErrBadMessage) {
			t.Errorf("%s: %v, want ErrBadMessage", name, err)
		}
	}
	for name, a := range map[string]GenesisAnswer{
		"the founders":        working(founders...),
		"a later member's":    working(seat(1, 11), seat(3, 13), seat(4, 14)),
		"a later seat behind": working(seat(1, 11), seat(3, 13), seat(2, 12)),
		"none":                working(),
		"disks older than seats": {
			Founded: true, Founders: []raft.Seat{seat(1, 0), seat(2, 0)}, Seats: []raft.Seat{seat(1, 0)},
		},
	} {
		r := GenesisReply{GenesisAnswer: a}
		if err := r.Check(members); err != nil {
			t.Errorf("%s: %v, want no error", name, err)
		}
	}
}

// As many disks as may be lost may be others than those that agreed; their word counts no less for it.
func TestOnlyFoundersThatCannotHaveBeenAgreedOnAreContradicted(t *testing.T) { // T28
	t.Parallel()
	seats := func(incarnations ...raft.Incarnation) (seats []raft.Seat) {
		for i, incarnation := range incarnations {
			seats = append(seats, raft.Seat{Member: raft.NodeID(i + 1), Incarnation: incarnation})
		}
		return seats
	}
	for name, c := range map[string]struct {
		members  int
		founders []raft.Seat
		now      []raft.Incarnation // 0: silent
		want     bool
	}{
		"all are there":            {3, seats(1, 2, 3), []raft.Incarnation{1, 2, 3}, false},
		"one of three is another":  {3, seats(1, 2, 3), []raft.Incarnation{1, 2, 9}, false},
		"two of three are others":  {3, seats(1, 2, 3), []raft.Incarnation{1, 8, 9}, true},
		"the others are silent":    {3, seats(1, 2, 3), []raft.Incarnation{0, 0, 9}, false},
		"two of five are others":   {5, seats(1, 2, 3, 4), []raft.Incarnation{1, 2, 8, 9, 5}, false},
		"three of five are others": {5, seats(1, 2, 3, 4), []raft.Incarnation{1, 7, 8, 9, 5}, true},
		"other members may be new": {5, seats(1, 2, 3), []raft.Incarnation{1, 8, 9, 4, 5}, false},
	} {
		replies := map[raft.NodeID]GenesisReply{}
		for i := range c.members {
			r := GenesisReply{GenesisAnswer: GenesisAnswer{Incarnation: c.now[i]}}
			if c.now[i] == 0 {
				r.Err = errDown
			}
			replies[raft.NodeID(i+1)] = r
		}
		if got := contradicted(c.founders, replies); got != c.want {
			t.Errorf("%s: contradicted is %t", name, got)
		}
	}
}
