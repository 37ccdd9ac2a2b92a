package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func TestDialMakesAConnection(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.TLS.ServerName)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	trusting := server.Client().Transport.(*http.Transport).TLSClientConfig
	named := trusting.Clone()
	named.ServerName, named.NextProtos = "example.com", []string{"h2"}
	other := trusting.Clone()
	other.ServerName = "another.invalid"
	elsewhere := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	for name, c := range map[string]struct {
		dialer  Dialer
		address string
		want    string // the answer; empty: the dial fails
	}{
		"the host that is dialled": {Dialer{TLS: trusting}, address, "HTTP/1.1 "},
		"another name":             {Dialer{TLS: named, Timeout: testTimeout}, address, "HTTP/1.1 example.com"},
		"an address override":      {Dialer{elsewhere, 0, trusting}, "example.com:443", "HTTP/1.1 example.com"},
		"a wrong name":             {Dialer{TLS: other}, address, ""},
		"an unknown authority":     {Dialer{TLS: &tls.Config{}}, address, ""},
		"no port":                  {Dialer{TLS: trusting, DialContext: elsewhere}, "example.com", ""},
		"an address that is none":  {Dialer{}, "127.0.0.1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := c.dialer.Dial(t.Context(), c.address)
			if (err == nil) != (c.want != "") {
				t.Fatalf("got %v", err)
			}
			if err != nil {
				return
			}
			defer conn.Close()
			k := NewConn(conn, testBuffer, testMaxHead)
			if err := k.Send(testHead(t), &Request{Method: http.MethodGet, Path: "/"}); err != nil || !k.MayHaveArrived() {
				t.Fatalf("may have arrived %t, %v", k.MayHaveArrived(), err)
			}
			if _, body, reusable, err := receive(k); string(body) != c.want || !reusable || err != nil {
				t.Errorf("got %q, reusable %t, %v; want %q", body, reusable, err, c.want)
			}
		})
	}
}

func TestAPlainConnectionIsTheDialedOne(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	defer func() { _, _ = here.Close(), there.Close() }()
	d := Dialer{DialContext: func(context.Context, string, string) (net.Conn, error) { return here, nil }}
	if conn, err := d.Dial(t.Context(), "h:80"); conn != here || err != nil {
		t.Errorf("got %v, %v", conn, err)
	}
}

// The timeout covers the handshake, and a connection without one is closed.
func TestTheTimeoutOfADial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const timeout = 3 * time.Second
		here, there := net.Pipe()
		defer func() { _, _ = here.Close(), there.Close() }()
		go func() { _, _ = io.Copy(io.Discard, there) }()
		hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		silent := func(context.Context, string, string) (net.Conn, error) { return here, nil }
		for name, d := range map[string]Dialer{
			"connect":   {DialContext: hang, Timeout: timeout},
			"handshake": {DialContext: silent, Timeout: timeout, TLS: &tls.Config{ServerName: "h"}},
		} {
			began := time.Now()
			conn, err := d.Dial(t.Context(), "h:443")
			if conn != nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != timeout {
				t.Errorf("%s: got %v, %v after %v", name, conn, err, time.Since(began))
			}
		}
		if _, err := here.Write(nil); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("after a handshake that failed the connection is open: %v", err)
		}
	})
}

// A connection is closed if there is no TLS on it, whatever the reason.
func TestAConnectionWithoutAHandshakeIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			address string
			config  *tls.Config
		}{
			"the server has no TLS":       {"h:443", &tls.Config{ServerName: "h"}},
			"the address names no server": {"h", &tls.Config{}},
		} {
			here, there := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, there) }()
			go func() { _, _ = io.WriteString(there, "HTTP/1.1 400 Bad Request\r\n\r\n") }()
			d := Dialer{DialContext: func(context.Context, string, string) (net.Conn, error) { return here, nil }, TLS: c.config}
			if conn, err := d.Dial(t.Context(), c.address); conn != nil || err == nil {
				t.Errorf("%s: got %v, %v", name, conn, err)
			}
			if _, err := here.Write(nil); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("%s: the connection is open: %v", name, err)
			}
			_ = there.Close()
		}
	})
}

// Of a TLS connection that a Dialer made it is known whether anything of a request left.
func TestWhatLeftADialedTLSConnectionIsKnown(t *testing.T) { // T49
	t.Parallel()
	server := httptest.NewTLSServer(nil)
	t.Cleanup(server.Close)
	var below *partly
	d := Dialer{
		TLS: server.Client().Transport.(*http.Transport).TLSClientConfig,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			below = &partly{Conn: conn}
			return below, err
		},
	}
	conn, err := d.Dial(t.Context(), server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := NewConn(conn, testBuffer, testMaxHead)
	below.limited = true
	r := Request{Method: http.MethodPost, Path: "/", Body: []byte("body")}
	if err := c.Send(testHead(t), &r); err == nil || c.MayHaveArrived() {
		t.Errorf("may have arrived %t, %v; want an error, and surely not", c.MayHaveArrived(), err)
	}
}
