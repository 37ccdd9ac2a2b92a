package rest

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// makeFresh does what a read requires before the local state is read. The caller checks what it returns again after it
// has read.
func (k *keys) makeFresh(ctx context.Context, q readQuery) (freshRead, error) {
	read := freshRead{consistency: linearizable, pinned: q.revision != 0}
	if q.stale {
		read.consistency = stale
	}
	if err := k.node.Sound(); err != nil {
		return read, err
	}
	var err error
	switch {
	case q.continued: // other pages of this revision were read: it exists
		q.minRevision = max(q.minRevision, q.revision)
	case q.stale:
		read.age, read.most = k.node.Staleness(), q.maxStale
		err = cmp.Or(k.holdsState(), read.check())
	case q.revision != 0 && q.revision <= k.node.Revision(): // what was applied here before never changes
	case q.lease:
		err = k.beginLeaseRead(ctx, &read)
	default:
		err = k.barrier(ctx)
	}
	if err == nil && q.minRevision > k.node.Revision() {
		if err = k.awaitRevision(ctx, q); q.stale && !q.continued {
			read.age = k.node.Staleness() // the state is younger now
		}
	}
	if applied := k.node.Revision(); err == nil && q.revision > applied {
		err = future(q, applied)
	}
	return read, err
}

// freshRead is a read that the local state is ready for.
type freshRead struct {
	consistency []string                     // that the read has, as a header
	age         func() (time.Duration, bool) // of a stale read: that of the state as it was before the read, or younger
	most        time.Duration                // that the age may be; negative: any
	holds       func() bool                  // of a read under a lease: whether the lease has not ended
	pinned      bool                         // it is of a revision, which does not age
}

// errLeaseEnded reports that the lease ended before the state was read. The caller reads again without one.
var errLeaseEnded = errors.New("the lease of the leader ended during the read")

// check returns an error if what was read must not be returned: errLeaseEnded, or that a newer write may have been
// acknowledged longer ago than the client accepts.
func (r *freshRead) check() error {
	if r.holds != nil && !r.holds() {
		return errLeaseEnded
	}
	if r.age == nil || r.most < 0 {
		return nil
	}
	age, known := r.age()
	if known && age <= r.most {
		return nil
	}
	what := "cannot determine how old its state is"
	if known {
		what = "has a state that may be " + age.Round(time.Millisecond).String() + " old"
	}
	return &api.Error{
		Code:    api.CodeNotReady,
		Message: "this node " + what + ", and max_stale is " + r.most.String() + "; ask another, or allow more",
	}
}

// stamp sets the headers that report how fresh the read was. It is called after the state was read.
func (r *freshRead) stamp(h http.Header) {
	h[api.HeaderConsistency] = r.consistency
	switch {
	case r.pinned:
	case r.age == nil:
		h[api.HeaderStaleness] = notStale
	default:
		if age, known := r.age(); known {
			h[api.HeaderStaleness] = decimal(uint64((age + time.Millisecond - 1).Milliseconds()))
		}
	}
}

// withLease calls serve with a query, and again without a lease if the lease ended during the read. Serve sends nothing
// before it checks that.
func withLease(q readQuery, serve func(readQuery) error) error {
	err := serve(q)
	if errors.Is(err, errLeaseEnded) {
		q.lease = false
		err = serve(q)
	}
	return err
}

// future returns the error of a read at a revision that this node has not applied. After a read barrier the cluster has
// not reached it either.
func future(q readQuery, applied uint64) error {
	if q.stale {
		return notApplied("revision", q.revision, applied)
	}
	return invalid("revision " + strconv.FormatUint(q.revision, 10) + " does not exist yet; the newest is " +
		strconv.FormatUint(applied, 10) + ", and min_revision waits for a later one")
}

// notApplied returns the error of a read that this node cannot serve before it has applied more.
func notApplied(parameter string, revision, applied uint64) error {
	return &api.Error{
		Code: api.CodeNotReady,
		Message: "this node has applied revision " + strconv.FormatUint(applied, 10) + ", and " + parameter + " is " +
			strconv.FormatUint(revision, 10) + "; ask another, or again later",
	}
}

// holdsState returns an error if this node has no state to read yet, where every key would appear absent.
func (k *keys) holdsState() error {
	status := k.node.Status()
	var why string
	switch {
	case status.LifeCycle != api.StateMember:
		why = "is no member of a cluster; its state is " + string(status.LifeCycle)
	case status.LastApplied == 0 && status.CommitIndex > 0:
		why = "has not loaded its log yet"
	default:
		return nil
	}
	return &api.Error{Code: api.CodeNotReady, Message: "this node " + why + "; ask another"}
}

// awaitRevision waits until this node has applied what a read requires. If it gives up, the error states how far the
// node is.
func (k *keys) awaitRevision(ctx context.Context, q readQuery) error {
	err := k.node.AwaitApplied(ctx, raft.Index(q.minRevision))
	if !errors.Is(err, node.ErrNotReady) {
		return err
	}
	required := api.ParamMinRevision
	if q.continued {
		required = "the revision of the cursor"
	}
	return notApplied(required, q.minRevision, k.node.Revision())
}

// onlyStale is the query of the usual stale read.
const onlyStale = api.ParamConsistency + "=" + string(api.Stale)

// beginLeaseRead makes a local read linearizable, under the lease of the leader if it has one.
func (k *keys) beginLeaseRead(ctx context.Context, read *freshRead) error {
	begun, err := k.node.BeginLeaseRead(ctx)
	if err != nil {
		return interrupted(ctx, err)
	}
	if begun.Leased() {
		read.consistency = lease
	}
	read.holds = begun.Holds
	return nil
}

// barrier makes local reads linearizable. A read changes nothing, so a client that disconnects during it leaves no
// unknown outcome.
func (k *keys) barrier(ctx context.Context) error {
	return interrupted(ctx, k.node.ReadBarrier(ctx))
}

func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return &api.Error{Code: api.CodeNotReady, Message: "the read was interrupted: " + ctx.Err().Error()}
	}
	return err
}

// readQuery is what a read requires of the state.
type readQuery struct {
	stale       bool
	lease       bool
	maxStale    time.Duration // negative: any
	minRevision uint64
	revision    uint64 // the state to read; 0: the present one
	continued   bool   // the revision is that of a cursor
}

// presentState and anyState are the usual queries, which need not be parsed.
var (
	presentState = readQuery{maxStale: -1}
	anyState     = readQuery{maxStale: -1, stale: true}
)

// parseReadQuery parses the parameters of a batch.
func parseReadQuery(raw string) (readQuery, error) {
	switch raw {
	case "":
		return presentState, nil
	case onlyStale:
		return anyState, nil
	}
	values, err := readParams(raw, readParameters)
	if err != nil {
		return presentState, err
	}
	return freshnessOf(values)
}

// freshnessOf returns what the parameters of a read require of the state.
func freshnessOf(values url.Values) (readQuery, error) {
	q := presentState
	for name, given := range values {
		value := given[0]
		var err error
		switch name {
		case api.ParamConsistency:
			err = q.setConsistency(value)
		case api.ParamMinRevision:
			if q.minRevision, err = strconv.ParseUint(value, 10, 64); err != nil {
				err = invalid("min_revision must be a revision, a whole number like 42; it is " + quoted(value))
			}
		case api.ParamMaxStale:
			q.maxStale, err = parseMaxStale(value)
		case api.ParamRevision:
			q.revision, err = revisionParam(values, name)
		}
		if err != nil {
			return q, err
		}
	}
	if q.maxStale >= 0 && !q.stale {
		return q, invalid("max_stale goes with consistency=stale; other reads are never stale")
	}
	return q, nil
}

func parseMaxStale(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err == nil && d >= 0 {
		return d, nil
	}
	return 0, invalid("max_stale must be a duration like 2s or 500ms, of at most " + longestStale + "; it is " +
		quoted(value))
}

// longestStale is about the longest time.Duration.
const longestStale = "2562047h"

func (q *readQuery) setConsistency(value string) error {
	switch api.Consistency(value) {
	case api.Linearizable:
	case api.Lease:
		q.lease = true
	case api.Stale:
		q.stale = true
	default:
		return invalid("consistency must be linearizable, lease or stale; it is " + quoted(value))
	}
	return nil
}
