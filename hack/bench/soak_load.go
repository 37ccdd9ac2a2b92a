package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

const (
	soakClients    = 64
	soakTexts      = 60 // keys with a text, of each client
	soakCounters   = 4  // keys with a number, of each client
	soakValueBytes = 2048
	soakPrefix     = "soak-"
)

// soakLoad are clients that write as fast as they can, each to keys of its own, so that what is in them is known.
type soakLoad struct {
	cluster *cluster
	client  *client.Client
	clients []*soakClient
	term    uint64 // at the start
	begin   time.Time
	writes  atomic.Int64
	stopped atomic.Bool
	done    sync.WaitGroup
	failed  failures
	wrong   faults
}

// soakWrites is what a client of the soak does; node/client does.
type soakWrites interface {
	Put(ctx context.Context, key string, value []byte, options ...client.WriteOption) (api.PutResponse, error)
	Delete(ctx context.Context, key string, options ...client.WriteOption) (api.DeleteResponse, error)
	Incr(ctx context.Context, key string, by int64) (client.IncrResponse, error)
}

// startSoak starts the clients.
func startSoak(ctx context.Context, c *cluster) (*soakLoad, error) {
	var endpoints []string
	for _, m := range c.members {
		endpoints = append(endpoints, "http://"+m.api)
	}
	shared, err := client.New(client.Config{Endpoints: endpoints})
	if err != nil {
		return nil, err
	}
	l := &soakLoad{cluster: c, client: shared, begin: time.Now()}
	if l.term, err = c.term(ctx); err != nil {
		return nil, err
	}
	for i := range soakClients {
		s := newSoakClient(i, shared)
		l.clients = append(l.clients, s)
		l.done.Go(func() { l.work(ctx, s) })
	}
	return l, nil
}

func (l *soakLoad) work(ctx context.Context, s *soakClient) {
	for !l.stopped.Load() {
		err := s.write(ctx)
		if err == nil {
			l.writes.Add(1)
			continue
		}
		if wrong, ok := errors.AsType[*lostError](err); ok {
			l.wrong.add(wrong)
			continue
		}
		kind, _ := classify(err)
		l.failed.add(kind, err)
		if sleep(ctx, 5*time.Millisecond) != nil {
			return
		}
	}
}

// stop ends the clients, and compares every key on every member with what was acknowledged.
func (l *soakLoad) stop(ctx context.Context, progress io.Writer) error {
	l.stopped.Store(true)
	l.done.Wait()
	l.client.Close()
	took := time.Since(l.begin)
	term, err := l.cluster.term(ctx)
	if err != nil {
		return err
	}
	written := float64(l.writes.Load())
	fmt.Fprintf(progress, "soak: %s writes in %v, %s a second; elections: %d; requests that failed: %s\n",
		thousands(written), took.Round(time.Second), thousands(written/took.Seconds()), term-l.term, l.failed.String())
	if err := errors.Join(l.failed.judge(term > l.term, false), l.cluster.ended(), l.cluster.caughtUp(ctx)); err != nil {
		return errors.Join(l.wrong.err(), err)
	}
	expected := map[string]content{}
	for _, s := range l.clients {
		maps.Copy(expected, s.keys)
	}
	for _, m := range l.cluster.members {
		found, err := readAll(ctx, m)
		if err != nil {
			return err
		}
		compare(m.process.Name, expected, found, &l.wrong)
	}
	if l.writes.Load() == 0 {
		return errors.Join(l.wrong.err(), errors.New("no write succeeded"))
	}
	return l.wrong.err()
}

// soakClient is one client. It does one write at a time.
type soakClient struct {
	writes   soakWrites
	random   *rand.Rand
	keys     map[string]content
	texts    []string
	counters []string
	text     string // values are parts of it
}

// content is what a key must contain.
type content struct {
	exists bool
	value  string // of a counter: its digits
	// unsure: a write had an unknown outcome. The key may contain anything, and the client leaves it alone.
	unsure bool
}

// lostError is a response that is impossible if no write was lost.
type lostError struct{ message string }

func (e *lostError) Error() string { return e.message }

func newSoakClient(number int, writes soakWrites) *soakClient {
	s := &soakClient{
		writes: writes, random: rand.New(rand.NewPCG(uint64(number), 0)), keys: map[string]content{},
	}
	for i := range soakTexts {
		s.texts = append(s.texts, fmt.Sprintf("%stext-%02d-%03d", soakPrefix, number, i))
	}
	for i := range soakCounters {
		s.counters = append(s.counters, fmt.Sprintf("%scounter-%02d-%d", soakPrefix, number, i))
	}
	var text strings.Builder
	for text.Len() < 2*soakValueBytes {
		text.WriteString(strconv.FormatUint(s.random.Uint64(), 36))
	}
	s.text = text.String()
	return s
}

// write does one write at random: seven of ten put, two add, one deletes.
func (s *soakClient) write(ctx context.Context) error {
	dice := s.random.IntN(10)
	keys := s.texts
	if dice < 2 {
		keys = s.counters
	}
	key := keys[s.random.IntN(len(keys))]
	before := s.keys[key]
	after, err := before, error(nil)
	switch {
	case before.unsure:
		return nil
	case dice < 2:
		after, err = s.increment(ctx, key, before)
	case dice == 2:
		after, err = s.remove(ctx, key, before)
	default:
		from := s.random.IntN(soakValueBytes)
		after = content{exists: true, value: s.text[from : from+s.random.IntN(soakValueBytes)]}
		_, err = s.writes.Put(ctx, key, []byte(after.value))
	}
	if _, lost := errors.AsType[*lostError](err); lost {
		after.unsure = true // reported once
	} else if err != nil {
		after = before
		_, after.unsure = classify(err)
	}
	s.keys[key] = after
	return err
}

func (s *soakClient) increment(ctx context.Context, key string, before content) (content, error) {
	got, err := s.writes.Incr(ctx, key, 1)
	if err != nil {
		return before, err
	}
	count, _ := strconv.ParseInt(before.value, 10, 64) // empty: 0
	if got.Value != count+1 {
		return before, &lostError{fmt.Sprintf("LOST: %s is %d after an increment, want %d", key, got.Value, count+1)}
	}
	return content{exists: true, value: strconv.FormatInt(got.Value, 10)}, nil
}

func (s *soakClient) remove(ctx context.Context, key string, before content) (content, error) {
	got, err := s.writes.Delete(ctx, key)
	if err != nil {
		return before, err
	}
	if got.Deleted != before.exists {
		return before, &lostError{fmt.Sprintf("LOST: a delete of %s found it: %t, want %t", key, got.Deleted, before.exists)}
	}
	return content{}, nil
}

// readAll reads every key of the soak from one member's own state.
func readAll(ctx context.Context, m *member) (map[string]string, error) {
	found := map[string]string{}
	query := url.Values{
		api.ParamPrefix: {soakPrefix}, api.ParamLimit: {strconv.Itoa(listKeys)}, api.ParamConsistency: {string(api.Stale)},
	}
	for {
		var page api.ListPage
		if err := getJSON(ctx, "http://"+m.api+api.PathList+"?"+query.Encode(), &page); err != nil {
			return nil, err
		}
		for i := range page.Records {
			r := &page.Records[i]
			var text string
			if json.Unmarshal(r.Value, &text) != nil {
				text = string(r.Value) // a number
			}
			found[r.Key] = text
		}
		if page.Cursor == "" {
			return found, nil
		}
		query.Set(api.ParamCursor, page.Cursor)
	}
}

// compare reports every key in which a member differs from what was acknowledged.
func compare(name string, expected map[string]content, found map[string]string, wrong *faults) {
	for _, key := range slices.Sorted(maps.Keys(expected)) {
		want := expected[key]
		got, exists := found[key]
		switch {
		case want.unsure:
		case want.exists && !exists:
			wrong.add(fmt.Errorf("LOST: %s does not have %s", name, key))
		case exists && !want.exists:
			wrong.add(fmt.Errorf("LOST: %s has %s, whose delete was acknowledged", name, key))
		case got != want.value:
			wrong.add(fmt.Errorf("LOST: %s has %s as %.40q of %d bytes, want %.40q of %d", name, key, got, len(got),
				want.value, len(want.value)))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(found)) {
		if _, ok := expected[key]; !ok {
			wrong.add(fmt.Errorf("%s has %s, which was never written", name, key))
		}
	}
}
