package http1

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

// BenchmarkExchange compares one exchange with that of net/http's client. The server in the same process is net/http's.
func BenchmarkExchange(b *testing.B) {
	answer := []byte(`{"term":7,"success":true,"match_index":1000000}`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header()["Date"] = nil
		_, _ = w.Write(answer)
	}))
	b.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	header := http.Header{
		"X-Kontiki-Cluster": {"kontiki"}, "X-Kontiki-From": {"1"}, "X-Kontiki-To": {"2"}, "User-Agent": {"kontiki"},
		"Content-Type": {"application/json"},
	}
	for _, size := range []int{200, 8 << 10, 64 << 10} {
		body := bytes.Repeat([]byte("b"), size)
		b.Run("http1/"+strconv.Itoa(size), func(b *testing.B) { benchHere(b, address, header, body) })
		b.Run("net-http/"+strconv.Itoa(size), func(b *testing.B) { benchNetHTTP(b, server.URL, header, body) })
	}
}

func benchHere(b *testing.B, address string, header http.Header, body []byte) {
	head, err := NewHead(address, "", header)
	if err != nil {
		b.Fatal(err)
	}
	conn, err := new(Dialer).Dial(b.Context(), address)
	if err != nil {
		b.Fatal(err)
	}
	c := NewConn(conn, 4096, 16<<10)
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		deadline := time.Now().Add(time.Minute)
		if err := c.Send(&head, &Request{Method: http.MethodPost, Path: "/p", Body: body, Deadline: deadline}); err != nil {
			b.Fatal(err)
		}
		response, err := c.Receive(64 << 10)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := ReadBody(response.Body, response.ContentLength, 64<<10, nil); err != nil || !c.IsReusable(response) {
			b.Fatal(err)
		}
	}
}

func benchNetHTTP(b *testing.B, url string, header http.Header, body []byte) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/p", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		r.Header = header
		response, err := client.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := ReadBody(response.Body, response.ContentLength, 64<<10, nil); err != nil {
			b.Fatal(err)
		}
		_ = response.Body.Close()
		cancel()
	}
}
