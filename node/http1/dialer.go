package http1

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"
)

// Dialer makes the connections of nodes and clients. The zero value makes TCP connections.
type Dialer struct {
	// DialContext connects; nil: a net.Dialer, which looks names up each time. Proxies are never used.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds the making of a connection, with the TLS handshake; 0: only the context bounds it.
	Timeout time.Duration
	// TLS makes TLS connections for HTTP/1.1; nil: plain ones. The server proves that it is ServerName, which may differ
	// from the host that is dialled; empty: that host.
	TLS *tls.Config
}

// Dial connects to an address of the form host:port.
func (d *Dialer) Dial(ctx context.Context, address string) (net.Conn, error) {
	if d.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.Timeout)
		defer cancel()
	}
	connect := d.DialContext
	if connect == nil {
		connect = new(net.Dialer).DialContext
	}
	conn, err := connect(ctx, "tcp", address)
	if err != nil || d.TLS == nil {
		return conn, err
	}
	config, err := d.config(address)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	secure := tls.Client(&counted{Conn: conn}, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// config returns the TLS configuration for a connection to an address.
func (d *Dialer) config(address string) (*tls.Config, error) {
	config := d.TLS.Clone()
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		config.ServerName = host
	}
	config.NextProtos = []string{"http/1.1"}
	return config, nil
}

// counted is the connection below TLS. It counts what leaves, because a write to the TLS connection that fails reports
// only the records that left whole.
type counted struct {
	net.Conn
	written atomic.Int64
}

// Write implements io.Writer.
func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// count returns how many bytes left, 0 for no connection.
func (c *counted) count() int64 {
	if c == nil {
		return 0
	}
	return c.written.Load()
}
