package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/http1"
)

const userAgent = "kontiki-go"

// Config is the configuration of a client. Only Endpoints is required.
type Config struct {
	// Endpoints are the URLs of one or more nodes, http://host:8080. One is enough to find the others, as long
	// as it runs when the client is first used.
	Endpoints []string
	// Timeout bounds a call whose context has no deadline; 0: 5 s.
	Timeout time.Duration
	// DialTimeout bounds the making of a connection; 0: 1 s.
	DialTimeout time.Duration
	// RequestTimeout bounds one request to one node; 0: 30 s. A call's own deadline is usually shorter.
	RequestTimeout time.Duration
	// ProbeTimeout bounds the question to one node how it sees the cluster; 0: 1 s.
	ProbeTimeout time.Duration
	// SlowAfter is how long an answer may take before the client asks the others who leads; 0: 500 ms.
	SlowAfter time.Duration
	// IdleTimeout is how long an unused connection may be used again; it must be shorter than the server's own
	// limit. 0: 30 s.
	IdleTimeout time.Duration
	// Inflight is the number of batches of one kind (writes, reads, stale reads) that may be in flight to one
	// node; 0: 1. More make smaller batches, which cost more; where a round trip takes milliseconds they may pay.
	Inflight int
	// TLS is for https endpoints; nil: the system's roots.
	TLS *tls.Config
	// DialContext makes connections; nil: a net.Dialer. Proxies are never used.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// withDefaults returns the configuration with the defaults of what was left out.
func (c Config) withDefaults() Config {
	fill := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	fill(&c.Timeout, 5*time.Second)
	fill(&c.DialTimeout, time.Second)
	fill(&c.RequestTimeout, 30*time.Second)
	fill(&c.ProbeTimeout, time.Second)
	fill(&c.SlowAfter, 500*time.Millisecond)
	fill(&c.IdleTimeout, 30*time.Second)
	if c.Inflight <= 0 {
		c.Inflight = 1
	}
	return c
}

// dialer returns the dialler for the endpoints with a scheme, http or https.
func (c *Config) dialer(scheme string) http1.Dialer {
	d := http1.Dialer{DialContext: c.DialContext, Timeout: c.DialTimeout}
	if scheme == "https" {
		d.TLS = cmp.Or(c.TLS, &tls.Config{MinVersion: tls.VersionTLS12})
	}
	return d
}

// httpClient returns the HTTP client. With once, every request has a connection of its own.
func (c *Config) httpClient(once bool) *http.Client {
	dial := func(scheme string) func(ctx context.Context, network, address string) (net.Conn, error) {
		dialer := c.dialer(scheme)
		return func(ctx context.Context, _, address string) (net.Conn, error) { return dialer.Dial(ctx, address) }
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         dial("http"),
			DialTLSContext:      dial("https"),
			DisableKeepAlives:   once,
			MaxIdleConnsPerHost: 4,
			IdleConnTimeout:     c.IdleTimeout,
		},
		// A redirect would send a command elsewhere; nothing in the contract redirects.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Client talks to a cluster. It is made for many goroutines at once: their commands travel together, each with its own
// result; puts of different keys that travel together may share a revision. It finds the members and the leader by
// itself, and sends again what surely was not done, until the call's deadline. A write that may have been done it never
// sends again, but answers api.CodeOutcomeUnknown (trap T49). Every error of its methods is an *api.Error.
type Client struct {
	config   Config
	topology *topology
	calls    *sync.Pool
	writes   *lane // to the leader
	reads    *lane // linearizable ones, to the leader; a read that shares a batch with writes waits for their commit
	leased   *lane // reads under a lease, to the leader
	anywhere *lane // stale reads
}

// New returns a client and begins, in the background, to ask who the members are. The error names the endpoint that is
// malformed.
func New(config Config) (*Client, error) {
	config = config.withDefaults()
	t := newTopology(config)
	for _, text := range config.Endpoints {
		e, err := parseEndpoint(text)
		if err != nil {
			return nil, &api.Error{Code: api.CodeInvalid, Message: err.Error(), Cause: err}
		}
		e.configured = true
		t.endpoints = append(t.endpoints, e)
	}
	if len(t.endpoints) == 0 {
		return nil, invalid("no endpoint was given; one like http://127.0.0.1:8080 is enough")
	}
	c := &Client{
		config:   config,
		topology: t,
		calls:    newCalls(),
		writes:   newLane(t, "", false, config.Inflight),
		reads:    newLane(t, "", false, config.Inflight),
		leased:   newLane(t, "?"+api.ParamConsistency+"="+string(api.Lease), false, config.Inflight),
		anywhere: newLane(t, "?"+api.ParamConsistency+"="+string(api.Stale), true, config.Inflight),
	}
	t.moved = func() {
		for _, l := range c.lanes() {
			l.review()
			l.kick()
		}
	}
	t.left = func(former []*endpoint) {
		for _, l := range c.lanes() {
			l.forget(former)
		}
	}
	t.admission.begin(len(t.endpoints))
	t.askAround(0)
	return c, nil
}

// Close ends the client. Calls that wait for a connection fail, those that were sent get their answers.
func (c *Client) Close() {
	for _, l := range c.lanes() {
		l.close()
	}
	c.topology.cancel()
	c.topology.http.CloseIdleConnections()
}

func (c *Client) lanes() []*lane { return []*lane{c.writes, c.reads, c.leased, c.anywhere} }

// do takes one prepared call through its attempts. On nil the call holds its answers and is the caller's to
// free; otherwise it is gone.
func (c *Client) do(ctx context.Context, l *lane, k *call) *api.Error {
	began := time.Now()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = began.Add(c.config.Timeout)
		k.timer.Reset(c.config.Timeout)
	}
	var failed *api.Error // the attempt before
	for attempt := 0; ; attempt++ {
		if err := c.topology.admit(ctx); err != nil {
			k.timer.Stop()
			k.free()
			return err
		}
		l.submit(k)
		if err := k.wait(ctx); err != nil {
			return after(failed, err)
		}
		// A call of several lines is repeated line by line, by Batch.
		err := k.answers[0].err
		if err == nil || k.lines != nil || k.late || !mayRepeat(err, k.read) ||
			!c.pause(ctx, deadline, time.Since(began), err, attempt) {
			k.timer.Stop()
			return nil
		}
		failed, began = err, time.Now()
		k.answers[0] = answer{}
		k.state.Store(callQueued)
	}
}

// after adds to a call that ended unreachable why the attempt before it failed, if there was one: the last attempt may
// have had too little time to find out, and that cause is what a caller can mend.
func after(failed, err *api.Error) *api.Error {
	if failed == nil || err.Code != api.CodeUnreachable {
		return err
	}
	message := err.Message + "; the attempt before failed: " + failed.Error()
	return &api.Error{Code: err.Code, Message: message, Cause: errors.Join(err.Cause, failed)}
}

// mayRepeat reports whether a request that failed with err may be sent again: if surely nothing was done, or if
// there was nothing to do.
func mayRepeat(err *api.Error, read bool) bool {
	return err.Code.NothingDone() || read && err.Code == api.CodeOutcomeUnknown
}

// answerTime is what an attempt needs at least for its answer.
const answerTime = 50 * time.Millisecond

// pause waits before the next attempt: as long as the server asked, or longer with each attempt, or until there
// is a new leader, for which it asks around meanwhile. False: the time is over, or there is too little left for an
// answer, if that takes as long as the last one took (a server may wait a second for a leader). Such an attempt would
// not help, but turn "nothing was done" into "outcome unknown".
func (c *Client) pause(ctx context.Context, deadline time.Time, took time.Duration, err *api.Error, attempt int) bool {
	d := backOff(err, attempt)
	if time.Until(deadline) < d+took+took/4+answerTime {
		return false
	}
	changed := c.topology.leaderChanged()
	if err.Code == api.CodeOverloaded {
		changed = nil // another leader is no less so
	}
	for until := time.Now().Add(d); ; {
		left := time.Until(until)
		if changed != nil {
			every := c.topology.interval()
			c.topology.askAround(every)
			left = min(left, every)
		}
		wake := time.NewTimer(left)
		select {
		case <-wake.C:
			if !time.Now().Before(until) {
				return true
			}
		case <-changed:
			wake.Stop()
			return true
		case <-ctx.Done():
			wake.Stop()
			return false
		}
	}
}

// backOff is how long to wait after so many attempts. Without a leader it grows further, because a new leader ends
// the wait, and each attempt may need a new connection.
func backOff(err *api.Error, attempt int) time.Duration {
	d := min(2*time.Millisecond<<min(attempt, 5), 50*time.Millisecond)
	if cannotServe(err.Code) || isForeign(err) {
		d = min(10*time.Millisecond<<min(attempt, 6), 500*time.Millisecond)
	}
	d = d/2 + rand.N(d/2+1)
	if isForeign(err) {
		return d // a proxy's Retry-After is about the proxy, and another endpoint may serve
	}
	return max(d, err.RetryAfter)
}
