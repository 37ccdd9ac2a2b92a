package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// benchFlags are the flags of bench.
type benchFlags struct {
	clients     int
	size        int
	keys        int
	total       int64
	duration    time.Duration
	prefix      string
	consistency string
	verify      bool
}

func (p *program) benchCommand() *cobra.Command {
	f := benchFlags{}
	cmd := &cobra.Command{
		Use:   "bench [put|get]",
		Short: "Measure writes or reads",
		Long: `Measure writes (put, the default) or reads (get). Each of --clients has one request
in flight at a time; they share one connection pool, like the goroutines of a program,
and their commands share HTTP requests. Every write is a separate log entry.

A write of unknown outcome is counted separately, and never repeated. With --verify
each write has its own key, and every acknowledged one is read back afterwards: exit
code 1 if any is lost.`,
		Example: `  raftctl bench put --clients 64 --size 256 --duration 10s
  raftctl bench --total 1000 --verify      a thousand writes, all read back
  raftctl bench get --consistency stale --clients 256
  raftctl bench put -o json | jq .p99_ms`,
		ValidArgs: []string{"put", "get"},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && args[0] != "put" && args[0] != "get" {
				return usageOf(cmd, "%s: want put or get, not %q", cmd.CommandPath(), strings.Join(args, " "))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			b := &bench{program: p, benchFlags: f, op: "put"}
			if len(args) == 1 {
				b.op = args[0]
			}
			if err := b.check(); err != nil {
				return err
			}
			return b.run()
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.clients, "clients", 32, "number of concurrent requests")
	flags.IntVar(&f.size, "size", 256, "bytes per value")
	flags.IntVar(&f.keys, "keys", 10000, "number of different keys (not with --verify)")
	flags.Int64Var(&f.total, "total", 0, "stop after this many requests, instead of after --duration")
	flags.DurationVar(&f.duration, "duration", 10*time.Second, "duration of the run")
	flags.StringVar(&f.prefix, "prefix", "bench/", "prefix of the keys")
	flags.StringVar(&f.consistency, "consistency", string(api.Linearizable),
		"consistency of get: linearizable, lease or stale")
	flags.BoolVar(&f.verify, "verify", false, "read every acknowledged write back")
	return cmd
}

// bench is one measurement.
type bench struct {
	*program
	benchFlags
	op     string
	client *client.Client
	token  string // makes the keys and values of this run unique
	filler []byte

	begun    time.Time
	left     atomic.Int64 // requests that may still start
	done     atomic.Int64
	stop     atomic.Bool
	mu       sync.Mutex
	all      *hdrhistogram.Histogram // of the acknowledged requests, in microseconds
	errors   map[api.Code]int64
	unknown  int64
	lastErr  error
	acked    []int64 // numbers of the acknowledged writes, with verify
	lost     []string
	elapsed  time.Duration
	recently *hdrhistogram.Histogram // since the last line of progress
}

func (b *bench) check() error {
	switch {
	case b.curl:
		return usage("--curl shows one request, and a bench makes many; try raftctl put KEY VALUE --curl")
	case b.clients < 1 || b.clients > 100000:
		return usage("--clients is %d; it must be from 1 to 100000", b.clients)
	case b.size < 0 || b.size > 1<<20:
		return usage("--size is %d; it must be from 0 to %d", b.size, 1<<20)
	case b.keys < 1:
		return usage("--keys is %d; it must be at least 1", b.keys)
	case b.total < 0:
		return usage("--total is %d; it must not be negative", b.total)
	case b.total == 0 && b.duration <= 0:
		return usage("--duration is %v; it must be more than 0, like 10s, or give --total", b.duration)
	case b.verify && b.op == "get":
		return usage("--verify reads writes back, so it goes with put, not with get")
	}
	switch api.Consistency(b.consistency) {
	case api.Linearizable, api.Lease, api.Stale:
		return nil
	}
	return usage("--consistency is %q; it must be linearizable, lease or stale", b.consistency)
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(10*time.Minute/time.Microsecond), 3)
}

func (b *bench) run() error {
	c, _, done, err := b.connect()
	if err != nil {
		return err
	}
	defer done()
	b.client, b.all, b.recently = c, newHistogram(), newHistogram()
	b.errors = make(map[api.Code]int64)
	b.token = fmt.Sprintf("%08x", rand.Uint32())
	b.filler = make([]byte, b.size)
	for i := range b.filler {
		b.filler[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[rand.IntN(36)]
	}
	if err := b.prepare(); err != nil {
		return b.explain(c, "", err)
	}
	b.measure()
	if b.verify {
		if err := b.readBack(); err != nil {
			return b.explain(c, "", err)
		}
	}
	if err := b.printReport(); err != nil {
		return err
	}
	return b.verdict()
}

// prepare checks that there is a cluster, and for reads that there is a key to read.
func (b *bench) prepare() error {
	ctx, cancel := context.WithTimeout(b.ctx, max(b.timeout, b.wait))
	defer cancel()
	if b.op == "put" {
		_, err := b.client.Cluster(ctx)
		return err
	}
	b.keys = min(b.keys, 1000)
	commands := make([]api.Command, b.keys)
	for i := range commands {
		commands[i] = api.Command{Op: api.OpPut, Key: b.key(int64(i)), Value: jsonString(string(b.filler))}
	}
	results, err := b.client.Batch(ctx, commands)
	for i := range results {
		if results[i].Error != nil {
			return results[i].Error
		}
	}
	return err
}

// measure runs the clients until the time or the number is reached, or the user interrupts.
func (b *bench) measure() {
	b.left.Store(1 << 62)
	if b.total > 0 {
		b.left.Store(b.total)
	} else {
		timer := time.AfterFunc(b.duration, func() { b.stop.Store(true) })
		defer timer.Stop()
	}
	defer context.AfterFunc(b.ctx, func() { b.stop.Store(true) })()
	shown := make(chan struct{})
	progress := b.startProgress(shown)
	b.begun = time.Now()
	var wg sync.WaitGroup
	for range b.clients {
		wg.Go(b.one)
	}
	wg.Wait()
	b.elapsed = time.Since(b.begun)
	close(shown)
	<-progress
}

// one runs one client.
func (b *bench) one() {
	own := newHistogram()
	var acked []int64
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.all.Merge(own)
		b.acked = append(b.acked, acked...)
	}()
	for !b.stop.Load() && b.left.Add(-1) >= 0 {
		n := b.done.Add(1) - 1
		begun := time.Now()
		err := b.request(n)
		took := max(time.Since(begun).Microseconds(), 1)
		if err != nil {
			b.failed(err)
			continue
		}
		_ = own.RecordValue(took) // only a value over ten minutes is refused
		if b.verify {
			acked = append(acked, n)
		}
		b.mu.Lock()
		_ = b.recently.RecordValue(took)
		b.mu.Unlock()
	}
}

// request makes request number n.
func (b *bench) request(n int64) error {
	// The context has no deadline and is not the user's: a request that was sent waits for its response.
	ctx := context.WithoutCancel(b.ctx)
	if b.op == "get" {
		_, err := b.client.Get(ctx, b.key(rand.Int64N(int64(b.keys))), client.Consistency(api.Consistency(b.consistency)))
		return err
	}
	_, err := b.client.Put(ctx, b.key(n), b.value(n))
	return err
}

// key returns the key of request n: a new one with verify, else one of the keys.
func (b *bench) key(n int64) string {
	if b.verify {
		return fmt.Sprintf("%s%s/%d", b.prefix, b.token, n)
	}
	if b.op == "put" {
		n = rand.Int64N(int64(b.keys))
	}
	return fmt.Sprintf("%s%d", b.prefix, n)
}

// value returns the value of write n: of the requested size, and with verify different from that of every other write.
func (b *bench) value(n int64) []byte {
	if !b.verify {
		return b.filler
	}
	value := append([]byte(nil), b.filler...)
	copy(value, fmt.Sprintf("%s/%d/", b.token, n))
	return value
}

func (b *bench) failed(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lastErr = err
	code := api.ErrorCode(err)
	if code == api.CodeOutcomeUnknown {
		b.unknown++
		return
	}
	b.errors[code]++
}

// readBack reads every acknowledged write, and records those that are missing.
func (b *bench) readBack() error {
	b.warn("reading %s acknowledged writes back\n", grouped(len(b.acked)))
	var next atomic.Int64
	var failure atomic.Pointer[error]
	var wg sync.WaitGroup
	for range max(b.clients, 64) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(b.acked)) && failure.Load() == nil; i = next.Add(1) - 1 {
				n := b.acked[i]
				item, err := b.client.Get(b.ctx, b.key(n))
				var e *api.Error
				switch {
				case errors.As(err, &e) && e.Code == api.CodeNotFound, err == nil && string(item.Value) != string(b.value(n)):
					b.mu.Lock()
					b.lost = append(b.lost, b.key(n))
					b.mu.Unlock()
				case err != nil:
					failure.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := failure.Load(); err != nil {
		return *err
	}
	return nil
}

// verdict returns the error of the run, or nil.
func (b *bench) verdict() error {
	if len(b.lost) > 0 {
		shown := b.lost[:min(len(b.lost), 5)]
		return &failure{code: exitFailed, message: fmt.Sprintf("%d acknowledged writes are lost: %v", len(b.lost), shown)}
	}
	if b.all.TotalCount() == 0 && b.lastErr != nil {
		return b.explain(b.client, "", b.lastErr)
	}
	if b.ctx.Err() != nil {
		return &failure{code: exitInterrupted}
	}
	return nil
}
