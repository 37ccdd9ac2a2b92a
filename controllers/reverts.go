package controllers

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kontiki-dev/kontiki/controllers/objects"
)

const (
	// revertsTold is how often an object must have been put right before it counts as changed back again and again: one
	// person's edit is no such thing.
	revertsTold = 3
	// revertWindow is how long the last of them may be ago.
	revertWindow = time.Minute
)

// reverts remembers which objects had to be put right after they had been applied, so that the status can name a writer
// that fights with the operator. Nothing is decided by it, and the next process begins anew (trap O32).
type reverts struct {
	mu    sync.Mutex
	byUID map[types.UID]revert
}

type revert struct {
	version string // of the object when it had been put right
	fields  []objects.Difference
	at      time.Time
	times   int
}

// note remembers that fields of an object were put right. A version that is known already was put right before: what
// the operator saw came from a cache that lags behind.
func (r *reverts) note(uid types.UID, version string, fields []objects.Difference, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byUID == nil {
		r.byUID = map[types.UID]revert{}
	}
	if r.byUID[uid].version == version {
		return
	}
	maps.DeleteFunc(r.byUID, func(_ types.UID, old revert) bool { return now.Sub(old.at) > revertWindow })
	r.byUID[uid] = revert{version: version, fields: fields, at: now, times: r.byUID[uid].times + 1}
}

// keeps returns the fields of an object that another writer keeps changing back; none: it does not.
func (r *reverts) keeps(uid types.UID, now time.Time) []objects.Difference {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.byUID[uid]
	if last.times < revertsTold || now.Sub(last.at) > revertWindow {
		return nil
	}
	return last.fields
}
