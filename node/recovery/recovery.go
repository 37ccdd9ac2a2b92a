package recovery

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/storage"
)

// Options are the options of a recovery.
type Options struct {
	Dirs       []string // the data directories of members that are stopped
	Into       string   // the data directory to make: missing or empty
	Address    string   // peer URL of the new cluster's member
	APIAddress string   // URL of its API; empty: it reports it when it starts
	Now        int64    // the time, in microseconds since 1970
	Rand       *rand.Rand
}

// Recovery is a recovery that is decided on. Until Close, no node can start in the directories.
type Recovery struct {
	options Options
	held    []*storage.Stopped
	chosen  *storage.Stopped
	end     raft.LogStart
	term    raft.Term // of the new entry
	time    int64
	who     identity.Recovered
	plan    Plan
}

// Open verifies the directories and decides which log is continued. It writes nothing.
func Open(o Options) (*Recovery, error) {
	r := &Recovery{options: o}
	err := r.open()
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Plan returns what Write does.
func (r *Recovery) Plan() Plan { return r.plan }

// Close releases the directories.
func (r *Recovery) Close() error {
	var errs []error
	for _, s := range r.held {
		errs = append(errs, s.Close())
	}
	r.held = nil
	return errors.Join(errs...)
}

func (r *Recovery) open() error {
	o := &r.options
	if err := checkDistinct(o.Dirs); err != nil {
		return err
	}
	o.Address, o.APIAddress = strings.TrimSuffix(o.Address, "/"), strings.TrimSuffix(o.APIAddress, "/")
	if err := identity.CheckAddresses([]identity.Member{r.member(1)}); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	var list []candidate
	for _, dir := range o.Dirs {
		s, err := storage.OpenStopped(dir)
		if err != nil {
			return err
		}
		r.held = append(r.held, s)
		c, err := verified(dir, s)
		if err != nil {
			return err
		}
		list = append(list, c)
	}
	survivor, err := choose(list)
	if err != nil {
		return err
	}
	if r.plan, err = loss(list, survivor); err != nil {
		return err
	}
	return r.decide(&list[survivor], r.held[survivor])
}

// decide completes the plan.
func (r *Recovery) decide(c *candidate, s *storage.Stopped) error {
	id, err := c.nextID()
	if err != nil {
		return err
	}
	r.chosen, r.end, r.term, r.time = s, c.end, c.term+1, max(r.options.Now, c.time)
	r.who = identity.Recover(c.cluster, c.end, r.member(id), r.options.Rand)
	r.plan.ClusterID, r.plan.Dir, r.plan.NodeID = r.who.ClusterID, r.options.Into, uint64(id)
	r.plan.Address, r.plan.LastIndex = r.options.Address, uint64(c.end.Index)+1
	return nil
}

func (r *Recovery) member(id raft.NodeID) identity.Member {
	return identity.Member{ID: id, Address: r.options.Address, APIAddress: r.options.APIAddress}
}

// checkDistinct refuses a directory that is named twice: it would seem to be in use.
func checkDistinct(dirs []string) error {
	if len(dirs) == 0 {
		return fmt.Errorf("%w: there is none", ErrOptions)
	}
	var found []os.FileInfo
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		for i, other := range found {
			if os.SameFile(info, other) {
				return fmt.Errorf("%w: %s and %s are the same", ErrOptions, dirs[i], dir)
			}
		}
		found = append(found, info)
	}
	return nil
}

// verified verifies a directory.
func verified(dir string, s *storage.Stopped) (candidate, error) {
	v, err := s.Verify()
	if err != nil {
		return candidate{}, err
	}
	if len(v.Damage) > 0 {
		return candidate{}, fmt.Errorf("%w: %s: %w (%s; raftctl verify %s lists all of it)", ErrDamaged, dir, v.Damage[0],
			whole, dir)
	}
	who, err := identity.Read(v.Log.Facts)
	switch {
	case err != nil:
		return candidate{}, fmt.Errorf("%w: %s: %w (%s)", ErrDamaged, dir, err, whole)
	case who == nil:
		return candidate{}, fmt.Errorf("%w: %s is of a node that was never a member; leave it out", ErrOptions, dir)
	case who.Seating == nil:
		return candidate{}, fmt.Errorf("%w: the cluster of %s was never founded, so it has nothing to recover: start its "+
			"members, or a new cluster in empty directories", ErrOptions, dir)
	}
	c := candidate{
		Directory: Directory{
			Dir: dir, NodeID: uint64(who.ID), LastTerm: uint64(v.Log.End.Term), LastIndex: uint64(v.Log.End.Index),
			CommitIndex: uint64(v.Log.State.Commit),
		},
		cluster: who.ClusterID, founders: who.Seating.Digest(), seated: identity.HoldsSeat(v.Log.Facts),
		term: v.Log.State.Term, end: v.Log.End, members: who.Members, time: v.Log.Time,
	}
	if differs := v.Log.Facts[snapshot.FactStateDiffers]; differs != "0" {
		c.differs = differs
	}
	if v.State != nil {
		c.CommitIndex = max(c.CommitIndex, uint64(v.State.Position.Index)) // what is applied is committed
		c.time = max(c.time, v.State.Time)
	}
	return c, nil
}

// Write makes the new data directory. After an error or a crash there is none.
func (r *Recovery) Write() error {
	node, cluster, err := r.who.Facts()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	entry, err := r.entry()
	if err != nil {
		return err
	}
	return r.chosen.Refound(r.options.Into, storage.Refounding{
		Entry: entry, Vote: r.who.Member.ID, Facts: node, Cluster: cluster,
	})
}

// entry returns the entry with the configuration of the new cluster: it is in force from there on, whatever
// configurations the log has before it.
func (r *Recovery) entry() (raft.Entry, error) {
	only := []identity.Member{r.who.Member}
	cfg, err := identity.InitialConfiguration(only)
	if err != nil {
		return raft.Entry{}, err
	}
	return raft.Entry{
		Index: r.end.Index + 1, Term: r.term, Type: raft.EntryConfig, Timestamp: r.time,
		Command: entryjson.Encoding().Configuration(cfg),
	}, nil
}
