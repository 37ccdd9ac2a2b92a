package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/kontiki-dev/kontiki/hack/chaos/cluster"
	"github.com/kontiki-dev/kontiki/hack/chaos/fault"
)

// noticeWithin is how long a process may take to notice that its disk accepts no more writes, while there are writes.
const noticeWithin = 15 * time.Second

// leftOfDisk is what is left of a disk that is full: less than a quarter of the reserve that a node keeps, but more
// than it writes before it notices. So no process may end.
const leftOfDisk = 20 << 20

// strike injects a fault of a node.
func (t *trial) strike(ctx context.Context, n *cluster.Node, kind fault.Kind) error {
	switch kind {
	case fault.Kill, fault.KillAll:
		n.Kill()
		return nil
	case fault.Pause:
		return n.Signal(syscall.SIGSTOP)
	case fault.DiskFull:
		if err := n.Disk.Fill(leftOfDisk); err != nil {
			return err
		}
		t.flood(ctx, n)
		return nil
	case fault.DiskReadOnly:
		n.MayEnd(true)
		return n.Disk.Break()
	case fault.WrongState:
		return t.spoil(ctx, n)
	}
	return fmt.Errorf("%s does not affect a single node", kind)
}

// relieve ends what strike did to a node. A process that ended starts again, because its disk works.
func (t *trial) relieve(ctx context.Context, n *cluster.Node, kind fault.Kind) error {
	switch kind {
	case fault.Kill, fault.KillAll:
		return n.Start()
	case fault.Pause:
		return n.Signal(syscall.SIGCONT)
	case fault.DiskFull:
		t.dry()
		return n.Disk.Drain() // the process has not ended, or the cluster reports it
	case fault.WrongState:
		return nil // the cluster repairs it, for which all faults may have to be over
	}
	return t.replaceDisk(ctx, n)
}

// mustEnd waits until a process whose disk accepts no more writes has ended (trap T53), and records a failure if it
// does not. That is required only without another fault at the same time: a node that is cut off has nothing to write.
func (t *trial) mustEnd(ctx context.Context, n *cluster.Node, kind fault.Kind) {
	if t.alone {
		for deadline := time.Now().Add(noticeWithin); n.Running() && time.Now().Before(deadline) && ctx.Err() == nil; {
			pause(ctx, 20*time.Millisecond)
		}
	}
	if !n.Running() || ctx.Err() != nil {
		return
	}
	t.log("node %d is still running after %s", n.Index+1, kind)
	if t.alone {
		t.refuted = append(t.refuted, fmt.Errorf("node %d went on for %s after %s, with a disk that it cannot write to",
			n.Index+1, noticeWithin, kind))
	}
}

// flood writes large values until a node whose disk is full has noticed, or until dry is called.
func (t *trial) flood(ctx context.Context, n *cluster.Node) {
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.load.Flood(ctx, n.Running)
	}()
	t.dry = func() {
		stop()
		<-done
		t.dry = func() {}
	}
}

// replaceDisk repairs a disk that went read-only, for which its process must have ended.
func (t *trial) replaceDisk(ctx context.Context, n *cluster.Node) error {
	t.mustEnd(ctx, n, fault.DiskReadOnly)
	if n.Running() {
		n.Kill()
	} else {
		t.ends++
	}
	if err := n.Disk.Repair(); err != nil {
		return err
	}
	n.MayEnd(false)
	return n.Start()
}

// revived starts a node if its process ended.
func (t *trial) revived(n *cluster.Node) error {
	if n.Running() {
		return nil
	}
	t.ends++
	return n.Start()
}

// revive revokes every permission to end, and starts the processes that used it late: a process may notice that its
// disk was full when it is not full any more.
func (t *trial) revive() error {
	for _, n := range t.cluster.Nodes {
		n.MayEnd(false)
		if err := t.revived(n); err != nil {
			return err
		}
	}
	return nil
}
