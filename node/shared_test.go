package node

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/kontiki-dev/kontiki/node/identity"
)

// No goroutine sees an identity without the members that come with it.
func TestTheMembersArePublishedBeforeTheIdentity(t *testing.T) {
	t.Parallel()
	given := &identity.Assignment{Identity: identity.Identity{ID: 1}, Members: []identity.Member{{ID: 1}, {ID: 2}}}
	for range 3000 {
		s := &shared{}
		s.who.Store(&identity.Identity{})
		s.memberList.Store(&[]identity.Member{})
		var looks atomic.Bool
		complete := make(chan bool)
		go func() {
			for s.self().ID == 0 {
				looks.Store(true)
			}
			complete <- len(s.members()) == 2 && s.assigned.Load() != nil
		}()
		for !looks.Load() {
			runtime.Gosched()
		}
		s.assign(given)
		if !<-complete {
			t.Fatal("the identity is there, and the members are not")
		}
	}
}
