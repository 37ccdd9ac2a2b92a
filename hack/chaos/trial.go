package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/hack/chaos/cluster"
	"github.com/kontiki-dev/kontiki/hack/chaos/fault"
	"github.com/kontiki-dev/kontiki/hack/chaos/network"
	"github.com/kontiki-dev/kontiki/hack/lab/history"
	"github.com/kontiki-dev/kontiki/hack/lab/workload"
)

const (
	// wholeWithin is the timeout for a cluster to be whole again after all faults.
	wholeWithin = 30 * time.Second
	// lastReads is the timeout for reading every key at the end.
	lastReads = time.Minute
	// warmUp is how long the workload runs before the first fault.
	warmUp = 2 * time.Second
)

// injection is a fault that was injected. Times are the workload's, in microseconds since 1970.
type injection struct {
	Kind     fault.Kind `json:"kind"`
	Words    string     `json:"words"`
	From, To int64      // To is when it ended
}

// spell is a time of one kind: an episode of faults, or calm.
type spell struct {
	Name     string
	From, To int64
}

// trial is the run of one cluster under faults.
type trial struct {
	options *options
	cluster *cluster.Cluster
	load    *workload.Workload
	plan    *fault.Plan
	begun   time.Time
	dry     func() // ends the flood that fills a disk
	unwatch func() // ends the reads from the node whose state was made wrong last
	alone   bool   // no other fault is in progress

	injections []injection
	spells     []spell
	absences   []absence // nodes that were cut off
	wrongs     []*wrongState
	ends       int     // processes that ended by themselves, as required on a disk that fails
	refuted    []error // faults that were found during the run
	operations []history.Operation
	findings   []history.Finding
	verdicts   []verdict
	kept       string // the directory with the files of a failure
}

func newTrial(o *options, c *cluster.Cluster) (*trial, error) {
	kinds := o.kinds
	if c.NoDisks != nil {
		kinds = slices.DeleteFunc(slices.Clone(kinds), fault.Kind.OfDisk)
	}
	if len(kinds) == 0 {
		return nil, fmt.Errorf("this machine supports none of the faults %v: %w", o.kinds, c.NoDisks)
	}
	plan := fault.NewPlan(o.seed, c.Network.Name(), o.nodes, kinds)
	return &trial{options: o, cluster: c, plan: plan, dry: func() {}}, nil
}

// run runs the workload and injects faults, then ends all faults and checks the result.
func (t *trial) run(ctx context.Context, length time.Duration) error {
	if err := t.cluster.AwaitReady(ctx, wholeWithin); err != nil {
		return err
	}
	if err := t.putSpoiledKey(ctx); err != nil {
		return err
	}
	var err error
	if t.load, err = workload.New(t.workload()); err != nil {
		return err
	}
	defer t.load.Close()
	t.begun = time.Now()
	working, stop := context.WithCancel(ctx)
	worked := make(chan struct{})
	go func() {
		t.load.Run(working)
		close(worked)
	}()
	err = t.inject(ctx, length)
	pause(ctx, time.Second) // a write after the last spell shows how long the spell was without one
	stop()
	<-worked
	if err != nil {
		return err
	}
	return t.conclude(ctx)
}

// workload is the total load, without faults: of three nodes about 150 requests a second, a sixth of them batches. It
// is little for the cluster, and enough to measure a gap of a twentieth of a second.
func (t *trial) workload() workload.Config {
	return workload.Config{
		Endpoints: t.cluster.Endpoints(),
		Library:   workload.Clients{Count: 4, Every: 50 * time.Millisecond},
		Plain:     workload.Clients{Count: 2, Every: 80 * time.Millisecond},
		Mix:       workload.Mix{Put: 6, Get: 5, CAS: 4, Incr: 4, Stale: 1, Batch: 4}, RegisterLife: 300,
		Record: func(o history.Operation) { t.operations = append(t.operations, o) },
	}
}

// inject runs episode after episode until the time is over.
func (t *trial) inject(ctx context.Context, length time.Duration) error {
	t.calm(ctx, warmUp)
	for ctx.Err() == nil {
		e := t.plan.Next()
		if time.Since(t.begun)+e.Length()+e.Calm > length && len(t.injections) > 0 {
			break
		}
		if err := t.episode(ctx, e); err != nil {
			return err
		}
		if err := cmp.Or(t.awaitRepair(ctx), t.cluster.AwaitReady(ctx, wholeWithin)); err != nil {
			t.refuted = append(t.refuted, fmt.Errorf("after %s: %w", e.Name(), err))
			return nil
		}
		t.calm(ctx, e.Calm)
		if err := t.revive(); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// calm runs the cluster without faults for a while.
func (t *trial) calm(ctx context.Context, length time.Duration) {
	from := t.load.Now()
	pause(ctx, length)
	t.spells = append(t.spells, spell{"(calm)", from, t.load.Now()})
}

func pause(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// current is a fault in progress.
type current struct {
	*fault.Fault
	took    injection
	victims []int
	matrix  network.Matrix
	cutOff  []int
}

// episode injects and ends the faults of an episode, each at its time.
func (t *trial) episode(ctx context.Context, e fault.Episode) error {
	began, from := time.Now(), t.load.Now()
	t.alone = len(e.Faults) == 1
	faults := make([]*current, len(e.Faults))
	type moment struct {
		at    time.Duration
		fault int
		begin bool
	}
	var moments []moment
	for i := range e.Faults {
		faults[i] = &current{Fault: &e.Faults[i]}
		moments = append(moments, moment{e.Faults[i].After, i, true}, moment{e.Faults[i].End(), i, false})
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	under := map[int]*current{}
	var errs []error
	for _, m := range moments {
		pause(ctx, m.at-time.Since(began)) // when the program is interrupted, all faults end at once
		f := faults[m.fault]
		if m.begin {
			under[m.fault] = f
			errs = append(errs, t.begin(ctx, f, under))
		} else {
			delete(under, m.fault)
			errs = append(errs, t.end(ctx, f, under))
			t.injections = append(t.injections, f.took)
		}
	}
	t.spells = append(t.spells, spell{e.Name(), from, t.load.Now()})
	t.note(faults)
	return errors.Join(errs...)
}

// begin injects a fault.
func (t *trial) begin(ctx context.Context, f *current, under map[int]*current) error {
	leader := t.cluster.Leader(ctx)
	f.took.Kind, f.victims = f.Kind, f.Victims(leader)
	f.matrix, f.took.Words = f.Matrix(leader)
	var err error
	if f.Kind.OfNetwork() {
		err = t.cluster.Network.Apply(merged(under))
		f.cutOff = f.matrix.CutOff()
	}
	for _, i := range f.victims {
		err = errors.Join(err, t.strike(ctx, t.cluster.Nodes[i], f.Kind))
		f.took.Words += fmt.Sprintf(" %d", i+1)
	}
	f.took.From = t.load.Now()
	t.log("%-14s %s (leader: %d)", f.Kind, f.took.Words, leader+1)
	return err
}

// end ends a fault.
func (t *trial) end(ctx context.Context, f *current, under map[int]*current) error {
	f.took.To = t.load.Now()
	var err error
	if f.Kind.OfNetwork() {
		if len(under) == 0 {
			err = t.cluster.Network.Apply(network.Clear(t.options.nodes))
		} else {
			err = t.cluster.Network.Apply(merged(under))
		}
	}
	for _, i := range f.victims {
		err = errors.Join(err, t.relieve(ctx, t.cluster.Nodes[i], f.Kind))
	}
	t.log("%-14s is over", f.Kind)
	return err
}

// merged is the effect of all faults in progress on the network.
func merged(under map[int]*current) network.Matrix {
	var all []network.Matrix
	for _, f := range under {
		all = append(all, f.matrix)
	}
	return network.Merge(all...)
}

// log prints progress, if the user has asked for it.
func (t *trial) log(format string, args ...any) {
	if t.options.verbose {
		fmt.Printf("%7.2fs %s\n", time.Since(t.begun).Seconds(), fmt.Sprintf(format, args...))
	}
}
