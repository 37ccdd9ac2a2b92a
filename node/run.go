package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/compaction"
	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/forward"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/observation"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// Run starts the node and returns when ctx ends (nil) or when it cannot go on (why). It may be called once. A node that
// was removed from its cluster goes on, and serves nothing.
func (n *Node) Run(ctx context.Context) error {
	err := n.takePart(ctx)
	removed := errors.Is(err, errRemoved)
	if removed {
		n.retire()
	}
	n.closeDown()
	if removed {
		n.stayRemoved(ctx.Done())
		return nil
	}
	return err
}

// takePart runs a member of the cluster.
func (n *Node) takePart(ctx context.Context) error {
	if n.view.Load().lifeCycle == api.StateRemoved {
		return errRemoved
	}
	if err := n.admit(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	if err := n.boot(); err != nil {
		return err
	}
	n.space.measure(&n.cfg) // before anything is written
	applierDone := make(chan struct{})
	n.sched.Go(func() {
		defer close(applierDone)
		n.applier.run(n.ended)
	})
	checkpointsDone := make(chan struct{})
	n.sched.Go(func() {
		defer close(checkpointsDone)
		n.checkpointer.run(applierDone)
	})
	defer n.sched.Wait(scheduler.Forever, scheduler.Signals{checkpointsDone})
	defer close(n.ended)
	n.sched.Go(func() { n.watchdog.Run(n.ended, n.self().ID) })
	n.sched.Go(n.measureDisk)
	if n.cfg.ScrubInterval > 0 {
		n.sched.Go(n.scrub)
	}
	return n.loop.run(ctx)
}

// boot loads the state and the log, and starts the core.
func (n *Node) boot() error {
	began := n.sched.Now()
	state, log, err := n.load()
	if err != nil {
		return err
	}
	initial, err := identity.InitialConfiguration(n.assigned.Load().Members)
	if err != nil {
		return fmt.Errorf("node: cannot start with these members: %w", err)
	}
	in := n.seating.Load()
	core, err := raft.New(raft.Config{
		ID: n.self().ID, Initial: initial, Founders: in.Founders, Incarnation: in.Incarnation, Seated: in.Seated,
		Encoding:            entryjson.Encoding(),
		Level:               raft.HighestLevel,
		ElectionTicks:       n.cfg.ticks(n.cfg.ElectionTimeout),
		HeartbeatTicks:      n.cfg.ticks(n.cfg.HeartbeatInterval),
		VoteHold:            uint64(n.cfg.ElectionTimeout.Microseconds()),
		ClockDrift:          n.cfg.ClockDrift,
		MaxMessageEntries:   n.cfg.MessageEntries,
		MaxMessageBytes:     maxMessageBytes,
		MaxInflightMessages: n.cfg.InflightMessages,
		MaxInflightBytes:    n.cfg.InflightMessages * 2 * maxMessageBytes,
		MaxUncommittedBytes: 2 * n.cfg.QueueBytes,
		MaxTailBytes:        n.cfg.TailBytes,
		Rand:                n.cfg.Rand,
	}, state, log)
	if err != nil {
		return fmt.Errorf("node: cannot start from what is on the disk: %w", err)
	}
	core.SetClock(n.clock()) // the hold of its vote begins now, not when something comes in
	l := &loop{
		node: n, cfg: &n.cfg, sched: n.sched, core: core,
		exchanges: map[uint64]*exchange{},
		reads:     map[raft.ReadToken][]*forward.Read{},
		seatSaved: core.Seated(),
		recorder:  observation.NewRecorder(n.observation, n.metrics),
		search:    divergence.NewSearch(core, n.self().ID),
	}
	if index := raft.Index(n.differs.Load()); index != 0 {
		core.RequestSnapshot()
		l.recorder.StateDiffers(index, n.stateDamage)
	}
	l.housekeeping = housekeeping{
		sizes: compaction.NewSizes(n.cfg.Window, log.Removed), removed: log.Removed, sending: map[raft.NodeID]pinned{},
	}
	l.housekeeping.sizes.Add(log.Entries)
	l.keeper.track(log.Entries[log.Applied-log.Start.Index:])
	l.standing = l.currentStanding()
	n.loop = l // before the publication, at which Inspect may look
	members := core.Membership()
	n.publishMembers(&members)
	n.cfg.Founded(in.Digest())
	n.cfg.Transport.SetPeers(n.reachable(&members))
	l.publish(true)
	n.cfg.Logger.Info("started", "node", n.self().ID, "cluster", n.self().ClusterID, "term", state.Term,
		"entries", len(log.Entries), "commit", state.Commit, "took", n.sched.Now().Sub(began))
	return nil
}
