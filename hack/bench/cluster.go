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

// system is what the benchmark must know of a store to run it.
type system interface {
	name() string
	// arguments are those of the ith of some members.
	arguments(all []*member, i int) []string
	// standing asks one member how it stands.
	standing(ctx context.Context, m *member) (standing, error)
	// drivers are the ways to load the cluster; with the first one it is also verified.
	drivers(all []*member) []driver
}

// standing is how a member sees itself.
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
	extra     string // for what a system serves besides
	data      string
	process   *process.Process
}

// cluster is three servers of one system on this machine, and what they were told to remember.
type cluster struct {
	system
	program    string
	gomaxprocs int
	dir        string
	members    []*member
	ledger     ledger
}

// startCluster starts a cluster with empty disks and waits until every member is ready.
func startCluster(ctx context.Context, sys system, program, dir string, gomaxprocs int) (*cluster, error) {
	dir, err := os.MkdirTemp(dir, sys.name()+"-")
	if err != nil {
		return nil, err
	}
	addresses, err := ports.FreeAddresses(3 * members)
	if err != nil {
		return nil, err
	}
	c := &cluster{system: sys, program: program, gomaxprocs: gomaxprocs, dir: dir}
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

// awaitReady waits until every member is ready and all agree on one leader, whose index it gives.
func (c *cluster) awaitReady(ctx context.Context) (leader int, err error) {
	err = await(ctx, fmt.Sprintf("%s did not get ready", c.name()), func() (done bool, err error) {
		leader, err = c.leader(ctx)
		return err == nil, c.ended()
	})
	return leader, err
}

// leader gives the index of the member that leads, if all are ready and agree.
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

// term is the highest that any member knows of.
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

// verify reads back everything that was ever acknowledged.
func (c *cluster) verify(ctx context.Context) error {
	sessions, closeAll, err := c.drivers(c.members)[0].open(ctx, 16, 0)
	if err != nil {
		return err
	}
	defer closeAll()
	if err := c.ledger.verify(ctx, sessions); err != nil {
		return fmt.Errorf("%s does not hold what it acknowledged: %w", c.name(), err)
	}
	return nil
}

// ended gives an error if a member's process is gone.
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

// printLogs shows what the members said last.
func (c *cluster) printLogs(w io.Writer) {
	for _, m := range c.members {
		if m.process != nil {
			fmt.Fprintf(w, "---- end of the log of %s\n%s", m.process.Name, m.process.LogEnd(4<<10))
		}
	}
}

// cpu is the processor time that all members have used; 0 where that cannot be told.
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

// await asks again and again whether something is done, for a minute at most. An error ends it at once.
func await(ctx context.Context, or string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s within a minute: %w", or, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
