package node

import (
	"context"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// waitEnd is what ended a wait.
type waitEnd int

// The ends of a wait, in the order in which awaitUnless gives the signals to the Scheduler.
const (
	waitLimit      waitEnd = iota - 1 // the limit has passed
	waitDone                          // what was waited for is there
	waitSuperseded                    // it is of no use any more
	waitCanceled                      // the caller's context ended
	waitStopped                       // the node stopped
)

// err returns nil if what was waited for is there, the context's error if that ended the wait, else ErrNotReady.
func (end waitEnd) err(ctx context.Context) error {
	switch end {
	case waitDone:
		return nil
	case waitCanceled:
		return ctx.Err()
	}
	return ErrNotReady
}

// inLoop runs f in the loop and returns when f has: ErrNotReady if the loop does not run, and the context's error if
// that ends before; f may run later then.
func (n *Node) inLoop(ctx context.Context, f func(l *loop)) error {
	if n.view.Load().lifeCycle != api.StateMember {
		return ErrNotReady // the loop does not run yet, and may never
	}
	ran := make(chan struct{})
	ordered := n.inbox.order(func(l *loop) {
		f(l)
		close(ran)
	})
	if !ordered {
		return ErrNotReady
	}
	return n.await(ctx, scheduler.Forever, ran).err(ctx)
}
