package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/kontiki-dev/kontiki/hack/lab/process"
	"github.com/kontiki-dev/kontiki/hack/ports"
)

const members = 3

// system is what the benchmark needs to run a store.
type system interface {
	name() string
	// arguments returns those of the ith of several members.
	arguments(all []*member, i int) []string
	// standing requests the state of a member.
	standing(ctx context.Context, m *member) (standing, error)
	// compact makes the present the oldest revision that can be read.
	compact(ctx context.Context, m *member) error
	// drivers are the ways to load the cluster; the first one also verifies it.
	drivers(all []*member) []driver
}

// standing is a member's own report of its state.
type standing struct {
	ready   bool
	leads   bool
	term    uint64
	applied uint64
}

// member is one server of a cluster.
type member struct {
	number    int // from 1
	api, peer string
	extra     string // for other services of a system
	data      string
	process   *process.Process
}

// cluster is three servers of one system on this machine, and the record of their writes.
type cluster struct {
	system
	program    string
	gomaxprocs int
	dir        string
	members    []*member
	account    account
}

// startCluster starts a cluster with empty disks, for so many keys, and waits until every member is ready.
func startCluster(ctx context.Context, sys system, program, dir string, gomaxprocs, keys int) (*cluster, error) {
	dir, err := os.MkdirTemp(dir, sys.name()+"-")
	if err != nil {
		return nil, err
	}
	addresses, err := ports.FreeAddresses(3 * members)
	if err != nil {
		return nil, err
	}
	c := &cluster{system: sys, program: program, gomaxprocs: gomaxprocs, dir: dir, account: newAccount(keys)}
	for i := range members {
		c.members = append(c.members, &member{
			number: i + 1, api: addresses[3*i], peer: addresses[3*i+1], extra: addresses[3*i+2],
			data: filepath.Join(dir, fmt.Sprintf("data-%d", i+1)),
		})
	}
	for i := range c.members {
		if err := c.start(i); err != nil {
			return c, err
		}
	}
	_, err = c.awaitReady(ctx)
	return c, err
}

// start starts the program of a member, for the first time or again.
func (c *cluster) start(i int) (err error) {
	m := c.members[i]
	name := fmt.Sprintf("%s %d", c.name(), m.number)
	cmd := exec.Command(c.program, c.arguments(c.members, i)...)
	if c.gomaxprocs > 0 {
		cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(c.gomaxprocs))
	}
	m.process, err = process.Start(name, cmd, m.data+".log", nil)
	return err
}

// awaitReady waits until every member is ready and all agree on one leader, and returns its index.
func (c *cluster) awaitReady(ctx context.Context) (leader int, err error) {
	err = await(ctx, fmt.Sprintf("%s did not become ready", c.name()), func() (done bool, err error) {
		leader, err = c.leader(ctx)
		return err == nil, c.ended()
	})
	return leader, err
}

// leader returns the index of the leader, if all members are ready and agree.
func (c *cluster) leader(ctx context.Context) (int, error) {
	leader, term := -1, uint64(0)
	for i, m := range c.members {
		s, err := c.standing(ctx, m)
		switch {
		case err != nil:
			return 0, err
		case !s.ready:
			return 0, fmt.Errorf("%s is not ready", m.process.Name)
		case term != 0 && s.term != term:
			return 0, errors.New("the members disagree about the term")
		case s.leads:
			leader = i
		}
		term = s.term
	}
	if leader < 0 {
		return 0, errors.New("there is no leader")
	}
	return leader, nil
}

// term is the highest term of all members.
func (c *cluster) term(ctx context.Context) (uint64, error) {
	var highest uint64
	var last error
	for _, m := range c.members {
		s, err := c.standing(ctx, m)
		highest, last = max(highest, s.term), err
	}
	if highest == 0 {
		return 0, last
	}
	return highest, nil
}

// verify reads back every acknowledged write.
func (c *cluster) verify(ctx context.Context) error {
	sessions, closeAll, err := c.drivers(c.members)[0].open(ctx, 16, 0)
	if err != nil {
		return err
	}
	defer closeAll()
	if err := c.account.verify(ctx, sessions); err != nil {
		return fmt.Errorf("%s does not have the writes that it acknowledged: %w", c.name(), err)
	}
	return nil
}

// ended returns an error if a member's process has ended.
func (c *cluster) ended() error {
	var gone []error
	for _, m := range c.members {
		gone = append(gone, m.process.Ended())
	}
	return errors.Join(gone...)
}

// stop ends every member and removes its data.
func (c *cluster) stop() error {
	var failed []error
	for _, m := range c.members {
		if m.process != nil {
			failed = append(failed, m.process.Stop())
		}
	}
	return errors.Join(append(failed, os.RemoveAll(c.dir))...)
}

// printLogs prints the ends of the members' logs.
func (c *cluster) printLogs(w io.Writer) {
	for _, m := range c.members {
		if m.process != nil {
			fmt.Fprintf(w, "---- end of the log of %s\n%s", m.process.Name, m.process.LogEnd(4<<10))
		}
	}
}

// cpu is the processor time that all members have used, or 0 if the system does not report it.
func (c *cluster) cpu() time.Duration {
	var sum time.Duration
	for _, m := range c.members {
		used, err := m.process.CPU()
		if err != nil {
			return 0
		}
		sum += used
	}
	return sum
}

// await polls a condition, for a minute at most. An error ends it immediately.
func await(ctx context.Context, or string, done func() (bool, error)) error {
	return awaitWithin(ctx, time.Minute, 20*time.Millisecond, or, done)
}

// awaitWithin polls a condition at an interval until a limit.
func awaitWithin(ctx context.Context, limit, every time.Duration, or string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s within %v: %w", or, limit, ctx.Err())
		case <-time.After(every):
		}
	}
}
