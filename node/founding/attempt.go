package founding

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// attempt is a member's attempt to learn the founders, or to have them agreed on.
type attempt struct {
	founder *Founder
	self    raft.Seat

	logged   string // why it waits, in the last line about it
	loggedAt time.Time

	done     chan struct{} // closed when the rest is set
	founders []raft.Seat
	err      error
}

// Waits between two looks at the members.
const (
	firstWait   = 20 * time.Millisecond
	patientWait = time.Second
)

// run asks the members until the founders are known. nil, nil if ctx ends.
func (a *attempt) run(ctx context.Context) ([]raft.Seat, error) {
	sched := a.founder.cfg.Scheduler
	wait, looks := firstWait, 0
	for {
		replies := a.ask(ctx, identity.GenesisRequest{})
		result, founders, why := identity.Judge(a.self, a.quorum(), replies)
		a.founder.cfg.Waits(waitsFor(replies, a.quorum()))
		if result == identity.MayPropose {
			if looks++; a.isTurn(looks, replies) {
				founders, why = a.propose(ctx, replies)
			}
			if founders != nil && !identity.SeatedElsewhere(a.self, founders) {
				return founders, nil
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil, nil
		case result == identity.IsFounded:
			return founders, nil
		case result == identity.DiskIsLost:
			return nil, identity.DiskLost(a.self.Member, why)
		case wait >= patientWait: // sooner, this is how it goes while a cluster starts
			a.log(why)
		}
		if sched.Wait(wait, scheduler.Signals{ctx.Done()}) == 0 {
			return nil, nil
		}
		wait = min(2*wait, patientWait)
	}
}

// logEvery is how often a node that waits logs why, at most.
const logEvery = 10 * time.Second

// log logs why this node waits if that is new, but not soon after the last line, because the answers of others are a
// part of it.
func (a *attempt) log(why string) {
	now := a.founder.cfg.Scheduler.Now()
	if why == "" || why == a.logged || a.logged != "" && now.Sub(a.loggedAt) < logEvery {
		return
	}
	a.logged, a.loggedAt = why, now
	a.founder.cfg.Logger.Info("waits before taking part", "node", a.self.Member, "why", why)
}

func (a *attempt) quorum() int {
	count := len(a.founder.cfg.Members())
	if a.founder.cfg.ByMajority {
		return count/2 + 1
	}
	return identity.FoundingQuorum(count)
}

// For how many looks a member waits before it proposes: for each open member with a lower id, so that proposals rarely
// collide; and, somewhat over a second, for members that are about to start. A founder counts at once, but a member
// that comes later only when it is seated, and until then the cluster bears fewer losses.
const (
	turnLooks = 3
	lateLooks = 6
)

// isTurn reports whether this member should propose after it has looked so often at a quorum of open members.
func (a *attempt) isTurn(looks int, replies map[raft.NodeID]identity.GenesisReply) bool {
	before, missing := 0, 0
	for id, r := range replies {
		switch {
		case r.Err != nil:
			missing = lateLooks
		case id < a.self.Member:
			before += turnLooks
		}
	}
	return looks > before+missing
}

// propose makes one attempt to have founders agreed, those of the newest proposal that may have been agreed already, or
// else the disks that took the ballot. If the attempt failed it returns nil, and which members refused it, if any did.
func (a *attempt) propose(ctx context.Context, replies map[raft.NodeID]identity.GenesisReply) ([]raft.Seat, string) {
	ballot, isNew := identity.NextBallot(a.self.Incarnation, replies)
	founders := identity.Candidates(a.self, a.quorum(), ballot, a.ask(ctx, identity.GenesisRequest{Ballot: ballot}))
	if founders == nil || !isNew {
		return nil, ""
	}
	agreed := 0
	var refused []string
	replies = a.ask(ctx, identity.GenesisRequest{Ballot: ballot, Founders: founders})
	for _, id := range slices.Sorted(maps.Keys(replies)) {
		r := replies[id]
		switch {
		case r.Err != nil:
			refused = append(refused, identity.Absence(id, r.Err))
		case !r.Founded && r.Accepted == ballot:
			agreed++
		}
	}
	switch {
	case agreed >= a.quorum():
		return founders, ""
	case len(refused) == 0:
		return nil, ""
	}
	return nil, fmt.Sprintf("a new cluster needs the agreement of %d members on its founders, and these did not agree: %s",
		a.quorum(), strings.Join(refused, ", "))
}

// ask sends a request to every member, this one too, and returns what each answered.
func (a *attempt) ask(ctx context.Context, r identity.GenesisRequest) map[raft.NodeID]identity.GenesisReply {
	cfg := &a.founder.cfg
	ctx, cancel := cfg.Scheduler.WithTimeout(ctx, cfg.Patience)
	defer cancel()
	var mu sync.Mutex
	var questions []func()
	replies := map[raft.NodeID]identity.GenesisReply{}
	members := cfg.Members()
	for _, m := range members {
		questions = append(questions, func() {
			reply := identity.GenesisReply{}
			if m.ID == a.self.Member {
				reply.GenesisAnswer, reply.Err = a.founder.Handle(ctx, r)
			} else {
				reply.GenesisAnswer, reply.Err = cfg.Ask(ctx, m.ID, r)
			}
			if reply.Err == nil {
				reply.Err = reply.Check(members)
			}
			mu.Lock()
			defer mu.Unlock()
			replies[m.ID] = reply
		})
	}
	scheduler.Together(cfg.Scheduler, questions)
	return replies
}

// waitsFor returns which members a founding waits for; nil: enough of them answered.
func waitsFor(replies map[raft.NodeID]identity.GenesisReply, needed int) *api.Founding {
	f := &api.Founding{Members: len(replies), Needed: needed, Missing: []uint64{}}
	for id, r := range replies {
		if r.Err != nil {
			f.Missing = append(f.Missing, uint64(id))
		}
	}
	slices.Sort(f.Missing)
	if f.Members-len(f.Missing) >= needed {
		return nil
	}
	return f
}
