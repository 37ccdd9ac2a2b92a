package controllers

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kontiki-dev/kontiki/controllers/objects"
)

const (
	// minReverts is how often an object must have been restored before it counts as changed back repeatedly: a
	// person's single edit does not.
	minReverts = 3
	// revertWindow is the maximum age of the last of them.
	revertWindow = time.Minute
)

// reverts records which objects had to be applied again after another client changed them, so that the status can name
// a writer that conflicts with the operator. No decision depends on it, and the next process starts without it (trap
// O32).
type reverts struct {
	mu    sync.Mutex
	byUID map[types.UID]revert
}

type revert struct {
	version string // of the object after it was restored
	fields  []objects.Difference
	at      time.Time
	times   int
}

// note records that fields of an object were restored. A version that is recorded already was restored before: the
// operator saw it in a stale cache.
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

// keeps returns the fields of an object that another writer keeps changing back, or none.
func (r *reverts) keeps(uid types.UID, now time.Time) []objects.Difference {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.byUID[uid]
	if last.times < minReverts || now.Sub(last.at) > revertWindow {
		return nil
	}
	return last.fields
}
