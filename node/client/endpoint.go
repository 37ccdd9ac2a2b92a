package client

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// endpoint is the API port of one node, or of something in front of several.
type endpoint struct {
	url        *url.URL
	address    string // host:port
	configured bool   // by the user; the others were learned from the members

	// Guarded by the topology's lock.
	answered    bool // it was seen to answer as a member of this cluster
	id          uint64
	failures    int // to connect, since the last success
	refusals    int // of requests, since it last served one
	downUntil   time.Time
	asks        int // questions under way to it
	askedAt     time.Time
	leaderless  bool      // when asked last, this node, which is one and not several, knew no leader
	silentSince time.Time // the oldest question since it last answered one; zero: it has answered
}

func (e *endpoint) name() string { return e.url.Host }

// parseEndpoint reads http://host:port, https://host:port/prefix or host:port.
func parseEndpoint(text string) (*endpoint, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if port == "" || u.Hostname() == "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("endpoint %q must be a URL like http://127.0.0.1:8080", text)
	}
	if strings.ContainsFunc(u.Host, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nil, fmt.Errorf("endpoint %q must have a host of ASCII characters, as xn--mnchen-3ya for münchen", text)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return &endpoint{url: u, address: net.JoinHostPort(u.Hostname(), port)}, nil
}

// tlsFor gives the TLS configuration for an endpoint; HTTP/1.1 is what the batches speak.
func (c *Config) tlsFor(e *endpoint) *tls.Config {
	config := c.TLS.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if config.ServerName == "" {
		config.ServerName = e.url.Hostname()
	}
	config.NextProtos = []string{"http/1.1"}
	return config
}
