package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kontiki-dev/kontiki/node/api"
)

// failureKind classifies, for both systems alike, why a request failed.
type failureKind string

const (
	// Only an election explains these.
	noLeader       failureKind = "no leader"
	outcomeUnknown failureKind = "outcome unknown"
	// A server may always return this.
	overloaded failureKind = "overloaded"
	// The end of a node's process explains these.
	connectionLost    failureKind = "connection lost"
	connectionRefused failureKind = "connection refused"
	// Nothing explains these.
	unexplained failureKind = "unexplained"
)

// connectionError is a request without a response.
type connectionError struct {
	sent bool // the server may have received the request
	err  error
}

func (e *connectionError) Error() string { return e.err.Error() }
func (e *connectionError) Unwrap() error { return e.err }

// classify returns why a request failed, and whether it may have been carried out nevertheless.
func classify(err error) (kind failureKind, maybeDone bool) {
	if answer, ok := errors.AsType[*api.Error](err); ok {
		return classifyKontiki(answer.Code)
	}
	if lost, ok := errors.AsType[*connectionError](err); ok {
		if lost.sent {
			return connectionLost, true
		}
		return connectionRefused, false
	}
	return classifyEtcd(err), true
}

func classifyKontiki(code api.Code) (failureKind, bool) {
	switch code {
	case api.CodeNoLeader, api.CodeNotReady:
		return noLeader, false
	case api.CodeOutcomeUnknown:
		return outcomeUnknown, true
	case api.CodeOverloaded:
		return overloaded, false
	case api.CodeUnreachable:
		return connectionRefused, false
	}
	return unexplained, code == api.CodeInternal
}

// etcdKinds are etcd's errors that have an explanation. Each request may have been carried out; etcd's own client
// treats such writes the same way.
var etcdKinds = map[error]failureKind{
	rpctypes.ErrNoLeader:                   noLeader,
	rpctypes.ErrNotLeader:                  noLeader,
	rpctypes.ErrLeaderChanged:              outcomeUnknown,
	rpctypes.ErrTimeout:                    outcomeUnknown,
	rpctypes.ErrTimeoutDueToLeaderFail:     outcomeUnknown,
	rpctypes.ErrTimeoutDueToConnectionLost: outcomeUnknown,
	rpctypes.ErrTooManyRequests:            overloaded,
}

func classifyEtcd(err error) failureKind {
	for known, kind := range etcdKinds {
		if errors.Is(err, known) {
			return kind
		}
	}
	if s, ok := status.FromError(err); ok && s.Code() == codes.Unavailable {
		return connectionLost
	}
	return unexplained
}

// failures counts failed requests, from many goroutines.
type failures struct {
	mu      sync.Mutex
	counts  map[failureKind]int
	example map[failureKind]error
}

func (f *failures) add(kind failureKind, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts, f.example = map[failureKind]int{}, map[failureKind]error{}
	}
	f.counts[kind]++
	if f.example[kind] == nil {
		f.example[kind] = err
	}
}

// judge returns an error for every failure that the events of the run do not explain.
func (f *failures) judge(election, nodeDied bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var wrong []error
	for _, kind := range slices.Sorted(maps.Keys(f.counts)) {
		explained := kind == overloaded ||
			election && (kind == noLeader || kind == outcomeUnknown) ||
			nodeDied && (kind == connectionLost || kind == connectionRefused)
		if !explained {
			wrong = append(wrong, fmt.Errorf("%d requests failed without an explanation (%s), for example: %w",
				f.counts[kind], kind, f.example[kind]))
		}
	}
	return errors.Join(wrong...)
}

// String lists the counts: "3 no leader, 1 overloaded".
func (f *failures) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(f.counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", f.counts[kind], kind))
	}
	return strings.Join(parts, ", ")
}
