package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// answerOf returns an answer with a body of known length.
func answerOf(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// chunked returns an answer in chunks of one byte.
func chunked(body string) string {
	var text strings.Builder
	text.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	for _, c := range []byte(body) {
		fmt.Fprintf(&text, "1\r\n%c\r\n", c)
	}
	return text.String() + "0\r\n\r\n"
}

// writeInPieces writes a text to a server's end in pieces of a number of bytes, and closes it.
func writeInPieces(server net.Conn, text string, size int) {
	for piece := []byte(text); len(piece) > 0; {
		n := min(size, len(piece))
		if _, err := server.Write(piece[:n]); err != nil {
			return
		}
		piece = piece[n:]
	}
	_ = server.Close()
}

// receive reads one answer, and reports whether the connection may be used again.
func receive(c *Conn) (status int, body []byte, reusable bool, err error) {
	response, err := c.Receive(testLimit)
	if err != nil {
		return 0, nil, false, err
	}
	body, err = ReadBody(response.Body, response.ContentLength, testLimit, nil)
	return response.StatusCode, body, c.IsReusable(response), err
}

const interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

func TestAnswersArriveInPieces(t *testing.T) {
	t.Parallel()
	body, many := strings.Repeat("answer ", 40), strings.Repeat("b", 450)
	for name, c := range map[string]struct {
		text     string
		status   int
		body     string
		reusable bool
	}{
		"known length":    {answerOf(body), 200, body, true},
		"chunked":         {chunked(body), 200, body, true},
		"empty":           {answerOf(""), 200, "", true},
		"no content":      {"HTTP/1.1 204 No Content\r\n\r\n", 204, "", true},
		"to the end":      {"HTTP/1.1 200 OK\r\n\r\n" + body, 200, body, false},
		"HTTP/1.0":        {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nb", 200, "b", false},
		"the last one":    {"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 1\r\n\r\nb", 503, "b", false},
		"continue":        {"HTTP/1.1 100 Continue\r\n\r\n" + answerOf(body), 200, body, true},
		"five interim":    {strings.Repeat(interim, 5) + answerOf(body), 200, body, true},
		"of full length":  {answerOf(strings.Repeat("b", testLimit)), 200, strings.Repeat("b", testLimit), true},
		"one more answer": {answerOf("first") + answerOf("second"), 200, "first", false},
		"a long head before many chunks": {
			strings.Replace(chunked(many), "\r\n", "\r\nX: "+strings.Repeat("x", testMaxHead*7/8)+"\r\n", 1), 200, many, true,
		},
	} {
		for _, size := range []int{1, 7, 1 << 20} {
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				t.Parallel()
				conn, server := pipe(t)
				// A byte at a time, the second answer is not there yet when the first is read: see Await.
				if name == "one more answer" && size < 1<<20 {
					t.Skip("not behind the first answer")
				}
				go writeInPieces(server, c.text, size)
				status, got, reusable, err := receive(conn)
				if err != nil || status != c.status || string(got) != c.body || reusable != c.reusable {
					t.Errorf("got %d %.20q (%d bytes), reusable %t, %v", status, got, len(got), reusable, err)
				}
			})
		}
	}
}

func TestAnswersThatAreRefused(t *testing.T) { // H4
	t.Parallel()
	long := strings.Repeat("x", testMaxHead+testBuffer)
	halfInterim := "HTTP/1.1 103 Early Hints\r\nX: " + long[:testMaxHead/2] + "\r\n\r\n"
	for name, c := range map[string]struct {
		text string
		want error // nil: any
	}{
		"no HTTP":                {"SSH-2.0-OpenSSH_9.9\r\n", nil},
		"nothing":                {"", io.ErrUnexpectedEOF},
		"cut in the head":        {"HTTP/1.1 200 OK\r\nContent-", nil},
		"cut in the body":        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nb", io.ErrUnexpectedEOF},
		"cut in a chunk":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nb", io.ErrUnexpectedEOF},
		"cut after interim":      {interim, io.ErrUnexpectedEOF},
		"another protocol":       {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + answerOf("b"), nil},
		"six interim":            {strings.Repeat(interim, 6) + answerOf("b"), nil},
		"long head":              {"HTTP/1.1 200 OK\r\nX: " + long + "\r\n\r\n", ErrTooLong},
		"many header lines":      {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", testMaxHead), nil},
		"long interim":           {"HTTP/1.1 103 Early Hints\r\nX: " + long + "\r\n\r\n" + answerOf("b"), ErrTooLong},
		"long interim together":  {strings.Repeat(halfInterim, 4) + answerOf("b"), ErrTooLong},
		"long body":              {"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\nb", ErrTooLarge},
		"endless body":           {"HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat(" ", 2*testLimit), ErrTooLarge},
		"endless chunks":         {chunked(strings.Repeat("b", testLimit+1)), nil},
		"long trailers":          {chunked("b")[:len(chunked("b"))-2] + "X: " + strings.Repeat(long, 9) + "\r\n\r\n", nil},
		"two lengths":            {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nbb", nil},
		"a length below nothing": {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nbb", nil},
	} {
		for _, size := range []int{1, 1 << 20} {
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				t.Parallel()
				conn, server := pipe(t)
				go writeInPieces(server, c.text, size)
				status, body, _, err := receive(conn)
				if err == nil || c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("got %d %.20q, %v; want %v", status, body, err, c.want)
				}
			})
		}
	}
}

// A goroutine that waits for the next answer notices at once that an idle connection ends, or carries an answer to no
// request.
func TestAwait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, end := range map[string]func(server net.Conn) error{
			"closed":  net.Conn.Close,
			"unasked": func(server net.Conn) error { _, err := io.WriteString(server, "H"); return err },
		} {
			c, server := pipe(t)
			if got := exchange(t, c, server, answerOf("first")); got != "first" {
				t.Errorf("%s: got %q", name, got)
			}
			awaited := make(chan error, 1)
			go func() { awaited <- c.Await() }()
			synctest.Wait()
			if len(awaited) > 0 {
				t.Fatalf("%s: an idle connection ended with %v", name, <-awaited)
			}
			if err := end(server); err != nil {
				t.Fatal(err)
			}
			if err := <-awaited; (err == nil) != (name == "unasked") {
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
}

// A connection that was just made may be awaited as well, and the answer to its first request is read all the same.
func TestAwaitOfANewConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, server := pipe(t)
		awaited := make(chan error, 1)
		go func() { awaited <- c.Await() }()
		synctest.Wait()
		if len(awaited) > 0 {
			t.Fatalf("it ended with %v", <-awaited)
		}
		go writeInPieces(server, answerOf("first"), 1)
		if err := <-awaited; err != nil {
			t.Fatal(err)
		}
		if _, body, _, err := receive(c); string(body) != "first" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
	})
}

// taken counts what a fake connection gave away. Every write succeeds.
type taken struct {
	net.Conn
	text  *bytes.Reader
	piece int
	bytes int
}

func (c *taken) Read(p []byte) (int, error) {
	n, err := c.text.Read(p[:min(c.piece, len(p))])
	c.bytes += n
	return n, err
}

// FuzzAnswer reads answers in pieces. What is read is what net/http reads, no answer takes more from the connection
// than it may, and an answer within the limits is read.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{
		answerOf("body"), chunked("body"), interim + answerOf("b"), strings.Repeat(interim, 6) + answerOf("b"),
		"HTTP/1.1 200 OK\r\n\r\nto the end", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nb",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.1 099 \r\n\r\nHTTP/1.1 204 \r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nb", answerOf("first") + answerOf("second"),
		"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nb", "SSH-2.0\r\n",
		"HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\nX: y\r\n\r\n",
	} {
		f.Add([]byte(text), uint8(1))
		f.Add([]byte(text), uint8(200))
	}
	f.Fuzz(func(t *testing.T, text []byte, piece uint8) {
		conn := &taken{text: bytes.NewReader(text), piece: int(piece) + 1}
		c := NewConn(conn, testBuffer, testMaxHead)
		status, body, reusable, err := receive(c)
		if most := testMaxHead + testLimit + testMaxHead; conn.bytes > most {
			t.Fatalf("took %d bytes of the connection, want at most %d", conn.bytes, most)
		}
		want, wantBody, wantErr := reference(text)
		switch {
		case err != nil:
			if wantErr == nil && len(text) <= testMaxHead && len(wantBody) <= testLimit {
				t.Fatalf("%q is refused: %v", text, err)
			}
			return
		case wantErr != nil || status != want || status < 200 || !bytes.Equal(body, wantBody) || len(body) > testLimit:
			t.Fatalf("%q is read as %d %q, want %d %q, %v", text, status, body, want, wantBody, wantErr)
		}
		appended := &taken{text: bytes.NewReader(text), piece: int(piece) + 1}
		again := NewConn(appended, testBuffer, testMaxHead)
		response, err := again.Receive(testLimit)
		if err != nil {
			t.Fatal(err)
		}
		body, err = AppendBody([]byte("before"), response.Body, testLimit)
		if err != nil || string(body) != "before"+string(wantBody) || reusable && !again.IsReusable(response) {
			t.Fatalf("%q is appended as %q, want %q, %v", text, body, wantBody, err)
		}
	})
}

// reference reads an answer with net/http alone.
func reference(text []byte) (status int, body []byte, err error) {
	reader := newReader(text)
	for range maxInterim + 1 {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return 0, nil, err
		}
		if response.StatusCode >= 200 {
			body, err = io.ReadAll(response.Body)
			return response.StatusCode, body, err
		}
		if response.StatusCode == http.StatusSwitchingProtocols {
			return 0, nil, errors.New("another protocol")
		}
	}
	return 0, nil, errors.New("too many interim answers")
}
