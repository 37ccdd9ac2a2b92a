package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/hack/chaos/cluster"
	"github.com/kontiki-dev/kontiki/hack/chaos/fault"
	"github.com/kontiki-dev/kontiki/hack/chaos/state"
	"github.com/kontiki-dev/kontiki/node/client"
)

// The key that a wrong state has another value for. No client of the workload reads or writes it: what a node serves of
// a wrong state before the comparison finds it is wrong, and is no reason to doubt the rest of the history.
const (
	spoiledKey = "untouched"
	rightValue = "right"
	wrongValue = "wrong"
)

// repairedWithin is how long a node may serve a wrong state, or none, after all faults are over: states are compared
// every second, and the snapshot is small.
const repairedWithin = 20 * time.Second

// wrongState is a state that was made wrong, and what became of it.
type wrongState struct {
	node  *cluster.Node
	begun time.Time // when the process started with it
	kept  []string  // the files of states that were found wrong before
	done  chan struct{}

	mu       sync.Mutex
	reads    int           // of the wrong value
	last     time.Duration // after which the last of them was answered
	found    bool          // the node has put a state aside that it found wrong
	repaired time.Duration // after which the right value was read; 0: it was not
	err      error
}

// putSpoiledKey writes the key that wrong states will have another value for.
func (t *trial) putSpoiledKey(ctx context.Context) error {
	if !slices.Contains(t.plan.Kinds(), fault.WrongState) {
		return nil
	}
	c, err := client.New(client.Config{Endpoints: t.cluster.Endpoints()})
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Put(ctx, spoiledKey, []byte(rightValue))
	return err
}

// spoil kills a node, makes its state wrong, and starts it again.
func (t *trial) spoil(ctx context.Context, n *cluster.Node) error {
	n.Kill()
	kept, err := aside(n)
	if err == nil {
		err = state.Spoil(n.Data, spoiledKey, wrongValue)
	}
	if err = errors.Join(err, n.Start()); err != nil {
		return err
	}
	w := &wrongState{node: n, begun: time.Now(), kept: kept, done: make(chan struct{})}
	t.wrongs = append(t.wrongs, w)
	ctx, t.unwatch = context.WithCancel(ctx)
	go func() {
		defer close(w.done)
		w.watch(ctx)
	}()
	return nil
}

// aside returns the files of states that a node found to be wrong.
func aside(n *cluster.Node) ([]string, error) {
	return filepath.Glob(filepath.Join(n.Data, "state.db.differs-*"))
}

// watch reads the changed key from the node until it has the right value again.
func (w *wrongState) watch(ctx context.Context) {
	for ctx.Err() == nil && !w.look(ctx) {
		pause(ctx, 20*time.Millisecond)
	}
}

// look reads once, and reports whether the state is right again.
func (w *wrongState) look(ctx context.Context) (over bool) {
	kept, err := aside(w.node)
	found := err == nil && len(kept) > 0 && !slices.Equal(kept, w.kept)
	value, answered := linearizable(ctx, w.node)
	took := time.Since(w.begun)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found = w.found || found
	switch {
	case !answered:
		return false
	case value == rightValue:
		w.repaired = took
		return true
	case found: // before it was asked
		w.err = fmt.Errorf("node %d put its state aside as wrong, and served %q of it after that", w.node.Index+1, value)
		return true
	}
	w.reads, w.last = w.reads+1, took
	return false
}

// linearizable reads the changed key from a node; false if the node refuses, or does not answer.
func linearizable(ctx context.Context, n *cluster.Node) (value string, answered bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.API()+"/api/v1/kv/"+spoiledKey, nil)
	if err != nil {
		return "", false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", false
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	return string(text), err == nil && response.StatusCode == http.StatusOK
}

// awaitRepair waits, when all faults are over, until the last state that was made wrong is right again.
func (t *trial) awaitRepair(ctx context.Context) error {
	if len(t.wrongs) == 0 {
		return nil
	}
	w, timer := t.wrongs[len(t.wrongs)-1], time.NewTimer(repairedWithin)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	t.unwatch()
	<-w.done
	if w.repaired == 0 && w.err == nil && ctx.Err() == nil {
		w.err = fmt.Errorf("the state of node %d was made wrong and not repaired within %s; it had %d wrong reads, the last "+
			"after %s, and was put aside: %v", w.node.Index+1, repairedWithin, w.reads, w.last.Round(time.Millisecond),
			w.found)
	}
	return w.err
}

// wrongVerdict returns what became of the states that were made wrong.
func (t *trial) wrongVerdict() verdict {
	var errs []error
	found, reads, longest, last := 0, 0, time.Duration(0), time.Duration(0)
	for _, w := range t.wrongs {
		errs = append(errs, w.err)
		reads += w.reads
		longest, last = max(longest, w.repaired), max(last, w.last)
		if w.found {
			found++
		}
	}
	good := "none was made"
	if len(t.wrongs) > 0 {
		good = fmt.Sprintf("%d made, %d of them found by the comparison, all right again within %s; before, %d reads of the "+
			"changed key, the last after %s", len(t.wrongs), found, longest.Round(time.Millisecond), reads,
			last.Round(time.Millisecond))
	}
	return verdict{"wrong states", good, errors.Join(errs...)}
}
