package client

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// endpoint is the API port of one node, or of something in front of several.
type endpoint struct {
	url        *url.URL
	address    string // host:port
	configured bool   // by the user; the others were learned from the members

	forgotten atomic.Bool // its node is no member any more: no new request goes there

	// Guarded by the topology's lock.
	answered    bool // it was seen to answer as a member of this cluster
	id          uint64
	member      uint64 // whose address it is by the configuration; 0: it is in none
	removed     bool   // when asked last, its node was a member no more
	failures    int    // to connect, since the last success
	refusals    int    // of requests, since it last served one
	downUntil   time.Time
	asks        int // questions in flight to it
	askedAt     time.Time
	surveyed    bool      // its first question is over; of a configured one only
	home        bool      // it has answered as a node of this cluster, now or before
	foreign     string    // the other cluster that it was seen to be of; empty: none
	leaderless  bool      // when asked last, this node, which is one and not several, had no leader
	silentSince time.Time // the oldest question since it last answered one; zero: it has answered
}

func (e *endpoint) name() string { return e.url.Host }

// parseEndpoint reads http://host:port, https://host:port/prefix or host:port.
func parseEndpoint(given string) (*endpoint, error) {
	text := given
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // without the URL, which may have been completed
		}
		return nil, fmt.Errorf("endpoint %q: %w", given, err)
	}
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if port == "" || u.Hostname() == "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("endpoint %q must be a URL like http://127.0.0.1:8080", given)
	}
	if strings.ContainsFunc(u.Host, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nil, fmt.Errorf("endpoint %q must have a host of ASCII characters, as xn--mnchen-3ya for münchen", given)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("endpoint %q: the port must be from 1 to 65535", given)
	}
	u.RawPath = strings.TrimRight(u.EscapedPath(), "/")
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", given, err)
	}
	return &endpoint{url: u, address: net.JoinHostPort(u.Hostname(), port)}, nil
}
