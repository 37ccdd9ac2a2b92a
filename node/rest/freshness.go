package rest

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// makeFresh does what a read requires before the local state is read. It returns the header with the consistency, and
// the limit of the age of the state, nil if there is none. The caller checks the limit again after it has read.
func (k *keys) makeFresh(ctx context.Context, q readQuery) (effective []string, limit *ageLimit, err error) {
	effective = linearizable
	if q.stale {
		effective = stale
	}
	if err := k.node.Sound(); err != nil {
		return effective, nil, err
	}
	switch {
	case q.continued: // other pages of this revision were read: it exists
		q.minRevision = max(q.minRevision, q.revision)
	case q.stale:
		limit = k.ageLimit(q.maxStale)
		err = cmp.Or(k.holdsState(), limit.check())
	case q.revision == 0 || q.revision > k.node.Revision(): // what was applied here before never changes
		err = k.barrier(ctx)
	}
	if err == nil && q.minRevision > k.node.Revision() {
		if err = k.awaitRevision(ctx, q); !q.continued {
			limit = k.ageLimit(q.maxStale) // the state is younger now
		}
	}
	if applied := k.node.Revision(); err == nil && q.revision > applied {
		err = future(q, applied)
	}
	return effective, limit, err
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

// barrier makes local reads linearizable. A read changes nothing, so a client that disconnects during it leaves no
// unknown outcome.
func (k *keys) barrier(ctx context.Context) error {
	err := k.node.ReadBarrier(ctx)
	if err != nil && ctx.Err() != nil {
		return &api.Error{Code: api.CodeNotReady, Message: "the read was interrupted: " + ctx.Err().Error()}
	}
	return err
}

// ageLimit is how old the state may be that a read returns.
type ageLimit struct {
	age  func() (time.Duration, bool) // of the state as it was when the limit was made
	most time.Duration
}

// ageLimit returns the limit for a read of the state as it is now or later. If most is negative it returns nil, which
// allows any age.
func (k *keys) ageLimit(most time.Duration) *ageLimit {
	if most < 0 {
		return nil
	}
	return &ageLimit{k.node.Staleness(), most}
}

// check returns an error if a stale read may be too stale: a newer write may have been acknowledged longer ago than the
// client accepts.
func (l *ageLimit) check() error {
	if l == nil {
		return nil
	}
	age, known := l.age()
	if known && age <= l.most {
		return nil
	}
	what := "cannot determine how old its state is"
	if known {
		what = "has a state that may be " + age.Round(time.Millisecond).String() + " old"
	}
	return &api.Error{
		Code:    api.CodeNotReady,
		Message: "this node " + what + ", and max_stale is " + l.most.String() + "; ask another, or allow more",
	}
}

// readQuery is what a read requires of the state.
type readQuery struct {
	stale       bool
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
			q.stale, err = parseConsistency(value)
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

func parseConsistency(value string) (isStale bool, err error) {
	switch api.Consistency(value) {
	case api.Linearizable, api.Lease:
		return false, nil
	case api.Stale:
		return true, nil
	}
	return false, invalid("consistency must be linearizable, lease or stale; it is " + quoted(value))
}
