package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

// proxy stands before the only node of a fake cluster. It passes every request on, and for those that foreign chooses
// it discards the node's answer and gives its own.
type proxy struct {
	*clienttest.Cluster
	url      string
	requests atomic.Int64 // that foreign chose
}

func newProxy(t *testing.T, foreign func(r *http.Request) bool, answer http.HandlerFunc) *proxy {
	t.Helper()
	p := &proxy{Cluster: clienttest.Unserved(1)} // its own address leads nowhere: the proxy is the only way
	node := p.Nodes[0].Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !foreign(r) {
			node.ServeHTTP(w, r)
			return
		}
		p.requests.Add(1)
		if r.URL.Path != api.PathEvents { // whose answer does not end
			node.ServeHTTP(httptest.NewRecorder(), r)
		}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	p.url = server.URL
	return p
}

// sends returns a handler that answers as a proxy does.
func sends(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// foreignAnswers are what a program between clients and nodes answers by itself, after it passed a request on.
var foreignAnswers = map[string]http.HandlerFunc{
	"envoy, upstream reset": sends(503, "text/plain", "upstream connect error or disconnect/reset before headers"),
	"nginx, bad gateway":    sends(502, "text/html", "<html><h1>502 Bad Gateway</h1></html>"),
	"nginx, time-out":       sends(504, "text/html", "<html><h1>504 Gateway Time-out</h1></html>"),
	"bare 503":              sends(503, "", ""),
	"bare 500":              sends(500, "", ""),
	"cloudflare":            sends(520, "text/plain", "error code: 520"),
	"insufficient storage":  sends(507, "text/plain", "full"),
	"request time-out":      sends(408, "text/html", "<html>408</html>"),
	"rate limit on a retry": sends(429, "text/plain", "local_rate_limited"),
	"client closed request": sends(499, "", ""),
	"no route on a retry":   sends(404, "text/plain", "404 page not found"),
	"conflict":              sends(409, "text/plain", ""),
	"gone":                  sends(410, "text/plain", ""),
	"precondition":          sends(412, "text/plain", ""),
	"forbidden":             sends(403, "text/plain", "RBAC: access denied"),
	"login page":            sends(200, "text/html", "<html>please log in</html>"),
	"JSON of another":       sends(200, "application/json", `{"status":"ok"}`),
	"a redirect":            sends(302, "text/html", ""),
	"a kept method":         sends(307, "text/html", ""),
	"a kept method, again":  sends(308, "text/html", ""),
	"see other":             sends(303, "", ""),
	"moved":                 sends(301, "text/html", "<html>moved</html>"),
	"not modified":          sends(304, "", ""),
	"unauthorized":          sends(401, "text/html", "<html>401 Authorization Required</html>"),
	"log in to the proxy":   sends(407, "text/html", "<html>407</html>"),
	"401 of another API":    sends(401, "application/json", `{"error":{"code":"unauthorized","message":"m"}}`),
	"forbidden, as JSON":    sends(403, "application/json", `{"error":"access_denied"}`),
	"rate limit, as JSON":   sends(429, "application/json", `{"message":"API rate limit exceeded"}`),
	"accepted":              sends(202, "application/json", `{"index":7,"term":1,"result":{"revision":7,"created":true}}`),
	"created":               sends(201, "application/json", `{}`),
	"no content":            sends(204, "", ""),
	"success without words": sends(200, "", ""),
	"a probe of another":    sends(503, "text/plain", "[+]ping ok\n[-]etcd failed: reason withheld\ncheck failed\n"),
	"an error as a text":    sends(503, "application/json", `{"error":"no healthy upstream"}`),
	"an error without code": sends(503, "application/json", `{"error":{"message":"no healthy upstream"}}`),
	"an unknown code":       sends(503, "application/json", `{"error":{"code":"upstream_reset","message":"m"}}`),
	"a client's own code":   sends(503, "application/json", `{"error":{"code":"unreachable","message":"m"}}`),
	"a code of 429 in 503":  sends(503, "application/json", `{"error":{"code":"overloaded","message":"m"}}`),
	"success, as a line":    sends(200, "application/json", `{"index":7,"term":1,"result":{"revision":7,"created":true}}`),
	"refusal, as a line":    sends(200, "application/json", `{"error":{"code":"overloaded","message":"m"}}`),
	"our not_ready":         sends(503, "application/json", `{"error":{"code":"not_ready","message":"upstream"}}`),
	"our no_leader":         sends(503, "application/json", `{"error":{"code":"no_leader","message":"m"}}`),
	"our overloaded":        sends(429, "application/json", `{"error":{"code":"overloaded","message":"rate limit"}}`),
	"our not_found":         sends(404, "application/json", `{"error":{"code":"not_found","message":"no upstream"}}`),
	"our invalid":           sends(400, "application/json", `{"error":{"code":"invalid","message":"m"}}`),
	"our precondition":      sends(412, "application/json", `{"error":{"code":"precondition_failed","message":"m"}}`),
}

func always(*http.Request) bool { return true }

// T49: a write that a proxy passed on is of unknown outcome whatever the proxy answers, and is never sent again.
func TestAWriteAnsweredByAProxyIsOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	incr := api.Command{Op: api.OpIncr, Key: "n", By: "1"}
	writes := map[string]func(c *client.Client, d *client.Direct, url string) error{
		"incr": func(c *client.Client, _ *client.Direct, _ string) error {
			_, err := c.Incr(ctx, "n", 1)
			return err
		},
		"put": func(c *client.Client, _ *client.Direct, _ string) error {
			_, err := c.Put(ctx, "n", []byte("v"))
			return err
		},
		"batch": func(c *client.Client, _ *client.Direct, _ string) error {
			results, err := c.Batch(ctx, []api.Command{incr, incr, incr})
			if err != nil {
				return err
			}
			for _, r := range results[1:] {
				if api.ErrorCode(r.Error) != api.CodeOutcomeUnknown {
					return fmt.Errorf("a later line: %w", r.Error)
				}
			}
			return results[0].Error
		},
		"transfer": func(c *client.Client, _ *client.Direct, _ string) error {
			_, err := c.TransferLeadership(ctx, 1)
			return err
		},
		"direct transfer": func(_ *client.Client, d *client.Direct, url string) error {
			_, err := d.Transfer(ctx, url, api.TransferRequest{To: 1})
			return err
		},
		"bootstrap": func(_ *client.Client, d *client.Direct, url string) error {
			_, err := d.Bootstrap(ctx, url, api.BootstrapRequest{ClusterID: "c", NodeID: 1})
			return err
		},
	}
	for name, answer := range foreignAnswers {
		for path, write := range writes {
			t.Run(path+"/"+name, func(t *testing.T) {
				t.Parallel()
				p := newProxy(t, func(r *http.Request) bool { return r.Method == http.MethodPost }, answer)
				c := connect(t, client.Config{Endpoints: []string{p.url}})
				err := write(c, direct(t, client.Config{}), p.url)
				if api.ErrorCode(err) != api.CodeOutcomeUnknown {
					t.Errorf("got %v, want outcome_unknown", err)
				}
				if n := p.requests.Load(); n != 1 {
					t.Errorf("the write was sent %d times", n)
				}
			})
		}
	}
}

// A read is asked again, so that what a proxy answers in between does no harm, least of all that a key does not exist.
func TestAReadAnsweredByAProxyIsRepeated(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	get := func(options ...client.ReadOption) func(c *client.Client) error {
		return func(c *client.Client) error {
			item, err := c.Get(ctx, "k", options...)
			if err == nil && string(item.Value) != "v" {
				return fmt.Errorf("the value is %q", item.Value)
			}
			return err
		}
	}
	reads := map[string]func(c *client.Client) error{
		"get": get(), "stale": get(client.Consistency(api.Stale)), "alone": get(client.MinRevision(1)),
		"batch": func(c *client.Client) error {
			results, err := c.Batch(ctx, []api.Command{{Op: api.OpGet, Key: "k"}, {Op: api.OpGet, Key: "k"}})
			if err != nil || results[0].Error == nil && results[1].Error == nil {
				return err
			}
			return errors.Join(results[0].Error, results[1].Error)
		},
		"status":  func(c *client.Client) error { _, err := c.Status(ctx); return err },
		"cluster": func(c *client.Client) error { _, err := c.Cluster(ctx); return err },
		"logs":    func(c *client.Client) error { _, err := c.Logs(ctx, 1, 1); return err },
	}
	for name, answer := range foreignAnswers {
		for path, read := range reads {
			t.Run(path+"/"+name, func(t *testing.T) {
				t.Parallel()
				var left atomic.Int64
				p := newProxy(t, func(*http.Request) bool { return left.Add(-1) >= 0 }, answer)
				c := connect(t, client.Config{Endpoints: []string{p.url}, Timeout: time.Minute})
				if _, err := c.Put(ctx, "k", []byte("v")); err != nil {
					t.Fatal(err)
				}
				left.Store(1)
				if err := read(c); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// Where nothing else ever comes, a read fails as one that was not answered.
func TestAReadThatOnlyAProxyAnswersIsUnreachable(t *testing.T) {
	t.Parallel()
	for name, answer := range foreignAnswers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t, always, answer)
			c := connect(t, client.Config{Endpoints: []string{p.url}, Timeout: 60 * time.Millisecond})
			d := direct(t, client.Config{})
			_, get := c.Get(t.Context(), "k")
			_, alone := c.Get(t.Context(), "k", client.MinRevision(1))
			_, view := d.View(t.Context(), p.url)
			_, status := c.StatusOf(t.Context(), p.url)
			var events error
			for _, err := range c.Events(t.Context(), 0) {
				events = err
			}
			for path, err := range map[string]error{
				"get": get, "alone": alone, "view": view, "status": status, "events": events,
				"observe": c.Observe(t.Context())[0].Err, "ready": c.Readyz(t.Context(), p.url),
				"live": c.Livez(t.Context(), p.url),
			} {
				if api.ErrorCode(err) != api.CodeUnreachable {
					t.Errorf("%s: got %v, want unreachable", path, err)
				}
			}
		})
	}
}

// A redirect leads to another server, perhaps to a node of another cluster. It is not followed: a command would be done
// there, perhaps a second time, and a question answered by it.
func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			other := clienttest.New(t, 1)
			reached := asked(other.Nodes[0])
			p := newProxy(t, always, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, other.URLs()[0]+r.URL.Path, status)
			})
			c := connect(t, client.Config{Endpoints: []string{p.url}, Timeout: 100 * time.Millisecond})
			d := direct(t, client.Config{})
			_, put := c.Put(ctx, "k", []byte("v"))
			_, transfer := c.TransferLeadership(ctx, 1)
			_, alone := d.Transfer(ctx, p.url, api.TransferRequest{To: 1})
			_, bootstrap := d.Bootstrap(ctx, p.url, api.BootstrapRequest{ClusterID: "c", NodeID: 1})
			for what, err := range map[string]error{
				"put": put, "transfer": transfer, "direct transfer": alone, "bootstrap": bootstrap,
			} {
				if api.ErrorCode(err) != api.CodeOutcomeUnknown {
					t.Errorf("%s: got %v, want outcome_unknown", what, err)
				}
			}
			_, view := d.View(ctx, p.url)
			_, get := c.Get(ctx, "k", client.MinRevision(1))
			_, state := c.StatusOf(ctx, p.url)
			for what, err := range map[string]error{"view": view, "get": get, "status": state} {
				if api.ErrorCode(err) != api.CodeUnreachable {
					t.Errorf("%s: got %v, want unreachable", what, err)
				}
			}
			if n := reached.Load(); n != 0 {
				t.Errorf("the server that the redirect names was asked %d times", n)
			}
		})
	}
}

// brokenAnswers are a node's answers of which a proxy that ends passes on a part, and answers that look like a node's.
var brokenAnswers = map[string]func(w http.ResponseWriter, whole []byte){
	"a part of the length": func(w http.ResponseWriter, whole []byte) {
		w.Header().Set("Content-Length", fmt.Sprint(len(whole)+1))
		_, _ = w.Write(whole)
	},
	"a part of the chunks": func(w http.ResponseWriter, whole []byte) {
		_, _ = w.Write(whole)
		_ = http.NewResponseController(w).Flush()
		clienttest.Cut(w)
	},
	"a part that is no JSON": func(w http.ResponseWriter, whole []byte) { _, _ = w.Write(whole[:len(whole)/2]) },
	"nothing":                func(http.ResponseWriter, []byte) {},
	"another status of success": func(w http.ResponseWriter, whole []byte) {
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write(whole)
	},
	"a part of the content": func(w http.ResponseWriter, whole []byte) {
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(whole)
	},
}

// T49: from an answer that is not whole nothing follows, though its head is a node's.
func TestAnAnswerThatIsNotWholeIsNoAnswer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for name, broken := range brokenAnswers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behind := clienttest.Unserved(2).Nodes[0].Handler()
			var orders atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				whole := httptest.NewRecorder()
				behind.ServeHTTP(whole, r)
				for _, header := range []string{api.HeaderTerm, api.HeaderLeader} {
					w.Header().Set(header, whole.Header().Get(header))
				}
				if r.Method == http.MethodPost {
					orders.Add(1)
				}
				broken(w, whole.Body.Bytes())
			}))
			t.Cleanup(server.Close)
			t.Cleanup(server.CloseClientConnections)
			c := connect(t, client.Config{Endpoints: []string{server.URL}, Timeout: 100 * time.Millisecond})
			d := direct(t, client.Config{})
			_, transfer := c.TransferLeadership(ctx, 0)
			_, alone := d.Transfer(ctx, server.URL, api.TransferRequest{})
			_, bootstrap := d.Bootstrap(ctx, server.URL, api.BootstrapRequest{ClusterID: "c", NodeID: 1})
			for what, err := range map[string]error{
				"transfer": transfer, "direct transfer": alone, "bootstrap": bootstrap,
			} {
				if api.ErrorCode(err) != api.CodeOutcomeUnknown {
					t.Errorf("%s: got %v, want outcome_unknown", what, err)
				}
			}
			if n := orders.Load(); n != 3 {
				t.Errorf("3 orders were sent %d times", n)
			}
			_, view := d.View(ctx, server.URL)
			_, state := c.StatusOf(ctx, server.URL)
			for what, err := range map[string]error{"view": view, "status": state} {
				if api.ErrorCode(err) != api.CodeUnreachable {
					t.Errorf("%s: got %v, want unreachable", what, err)
				}
			}
		})
	}
}

// A batch of one line whose answer breaks off behind the line was done; one whose line is not whole may have been.
func TestALineThatIsNotWholeIsNoResult(t *testing.T) {
	t.Parallel()
	line := nodeAnswer(1)
	for name, answer := range map[string]string{
		"no end of the line": "HTTP/1.1 200 OK\r\nX-Raft-Term: 1\r\nContent-Length: 200\r\n\r\n" +
			`{"index":1,"term":1,"result":{"revision":1,"created":true}`,
		"no line":              "HTTP/1.1 200 OK\r\nX-Raft-Term: 1\r\nContent-Length: 0\r\n\r\n",
		"a head that ends":     line[:30],
		"another success":      strings.Replace(line, "200 OK", "202 Accepted", 1),
		"a client's own code":  lineAnswer(`{"error":{"code":"unreachable","message":"m"}}`),
		"an unknown code":      lineAnswer(`{"error":{"code":"new_code","message":"m"}}`),
		"neither of the two":   lineAnswer(`{"index":1,"term":1}`),
		"no JSON":              lineAnswer(`<html>`),
		"a part, with a range": strings.Replace(line, "200 OK", "206 Partial Content", 1),
	} {
		for _, end := range []string{"", hangUp} {
			if end == "" && (strings.Contains(answer, "Content-Length: 200") || name == "a head that ends") {
				continue // it is waited for
			}
			began := time.Now()
			c := connect(t, client.Config{Endpoints: []string{rawServer(t, "", answer+end)}, Timeout: time.Minute})
			if put, err := c.Put(t.Context(), "k", nil); api.ErrorCode(err) != api.CodeOutcomeUnknown {
				t.Errorf("%s: got %+v, %v", name, put, err)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("%s: it took %v to see that no more comes", name, took)
			}
		}
	}
}

// A proxy that has nothing behind it does not keep the client from the endpoint that serves.
func TestAnEndpointThatOnlyAProxyAnswersIsLeft(t *testing.T) {
	t.Parallel()
	p := newProxy(t, always, sends(503, "text/plain", "no healthy upstream"))
	cluster := clienttest.New(t, 1)
	c := connect(t, client.Config{Endpoints: []string{p.url, cluster.URLs()[0]}})
	_, _ = c.Put(t.Context(), "k", []byte("v")) // may have gone either way
	for range 5 {
		item, err := c.Get(t.Context(), "k", client.Consistency(api.Stale))
		if err != nil && api.ErrorCode(err) != api.CodeNotFound {
			t.Fatalf("%+v, %v", item, err)
		}
	}
}

// rawServer answers each connection with a script: it sends what stands before the first request, and then one text for
// each request.
func rawServer(t *testing.T, first string, answers ...string) string {
	t.Helper()
	return lateServer(t, newInterval(), first, answers...)
}

// interval is the time between an answer of a lateServer and what it sends later.
type interval struct {
	read chan struct{} // closed by the test when the answer was read
	left chan struct{} // closed when the client has left the connection on which something came later
	once sync.Once
}

func newInterval() *interval { return &interval{read: make(chan struct{}), left: make(chan struct{})} }

// lateServer is a rawServer with answers that have a part for later.
func lateServer(t *testing.T, between *interval, first string, answers ...string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go script(conn, between, first, answers)
		}
	}()
	return "http://" + listener.Addr().String()
}

func script(conn net.Conn, between *interval, first string, answers []string) {
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write([]byte(first))
	reader := bufio.NewReader(conn)
	for i := 0; ; {
		r, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		text := "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
		if r.URL.Path == api.PathBatch && i < len(answers) {
			text = answers[i]
			i++
		}
		if _, err := reader.Discard(int(r.ContentLength)); err != nil {
			return
		}
		text, late, _ := strings.Cut(text, later)
		text, ends := strings.CutSuffix(text, hangUp)
		_, _ = conn.Write([]byte(text))
		if ends {
			return
		}
		if late != "" {
			<-between.read
			_, _ = conn.Write([]byte(late))
			defer between.once.Do(func() { close(between.left) })
		}
	}
}

// later in a lateServer's answer divides what is sent at once from what comes when that was read.
const later = "\x00later"

// hangUp at the end of a rawServer's answer ends the connection behind it.
const hangUp = "\x00hang up"

func nodeAnswer(revision int) string {
	line := fmt.Sprintf(`{"index":%d,"term":1,"result":{"revision":%d,"created":true}}`+"\n", revision, revision)
	return lineAnswer(line)
}

// lineAnswer is a node's answer to a batch.
func lineAnswer(line string) string {
	line = strings.TrimSuffix(line, "\n") + "\n"
	head := "HTTP/1.1 200 OK\r\nX-Raft-Term: 1\r\nX-Raft-Leader: 1\r\n"
	return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(line), line)
}

// A proxy may send interim answers before the node's. Each call gets the answer to its own request, and no head is
// without a bound (trap H4).
func TestInterimAnswersAreNotAnswers(t *testing.T) {
	t.Parallel()
	const hints = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
	c := connect(t, client.Config{Endpoints: []string{rawServer(t, "", hints+nodeAnswer(1), hints+nodeAnswer(2))}})
	for revision := uint64(1); revision <= 2; revision++ {
		put, err := c.Put(t.Context(), "k", nil)
		if err != nil || put.Revision != revision {
			t.Fatalf("put %d is answered with %+v, %v", revision, put, err)
		}
	}
	for name, answer := range map[string]string{
		"a switch of protocols":  "HTTP/1.1 101 Switching Protocols\r\n\r\n" + nodeAnswer(1),
		"interim without an end": hints + hints + hints + nodeAnswer(1),
		"a head of a megabyte":   strings.Replace(nodeAnswer(1), "\r\n", "\r\nX: "+strings.Repeat("x", 1<<20)+"\r\n", 1),
	} {
		c := connect(t, client.Config{Endpoints: []string{rawServer(t, "", answer)}})
		if put, err := c.Put(t.Context(), "k", nil); api.ErrorCode(err) != api.CodeOutcomeUnknown {
			t.Errorf("%s: got %+v, %v", name, put, err)
		}
	}
}

// What comes before a request was sent is not the answer to the next one: load balancers send 408 to idle connections.
func TestAnAnswerWithoutARequestIsNotThatOfTheNext(t *testing.T) {
	t.Parallel()
	const idle = "HTTP/1.1 408 Request Time-out\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	for name, stray := range map[string]string{
		"a time-out": idle, "a success": nodeAnswer(9),
		"a later time-out": later + idle, "a later success": later + nodeAnswer(9),
	} {
		between := newInterval()
		c := connect(t, client.Config{Endpoints: []string{lateServer(t, between, "", nodeAnswer(1)+stray, nodeAnswer(2))}})
		if put, err := c.Put(t.Context(), "k", nil); err != nil || put.Revision != 1 {
			t.Fatalf("%s: the first put: %+v, %v", name, put, err)
		}
		close(between.read)
		if strings.HasPrefix(stray, later) {
			<-between.left
		}
		eventually(t, "the connection with the stray answer is left, and the next one begins anew", func() bool {
			put, err := c.Put(t.Context(), "k", nil)
			if err == nil && put.Revision != 1 {
				t.Errorf("%s: a put was answered with what came before it: %+v", name, put)
			}
			return err == nil
		})
	}
}

// A proxy that lost patience answers in its own words, and passes on what the node answered when that comes. It is not
// the answer to the next request.
func TestWhatFollowsAProxysAnswerIsNotThatOfTheNext(t *testing.T) {
	t.Parallel()
	const impatient = "HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n"
	between := newInterval()
	url := lateServer(t, between, "", impatient+later+nodeAnswer(1), nodeAnswer(2))
	c := connect(t, client.Config{Endpoints: []string{url}})
	if put, err := c.Put(t.Context(), "k", nil); api.ErrorCode(err) != api.CodeOutcomeUnknown {
		t.Fatalf("the first put: %+v, %v", put, err)
	}
	close(between.read)
	// Each connection begins the script anew, so no put may ever have the first one's answer.
	for range 3 {
		if put, err := c.Put(t.Context(), "k", nil); err == nil {
			t.Errorf("a put was answered with what followed the answer to another: %+v", put)
		}
	}
}

// No connection, no write: a dial that is refused or hangs, and a handshake that fails, are known to have done nothing.
func TestAWriteThatMetNoConnectionIsNotOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	plain := clienttest.New(t, 1).URLs()[0]
	tls := httptest.NewTLSServer(http.NotFoundHandler()) // its certificate is unknown
	t.Cleanup(tls.Close)
	hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for name, test := range map[string]struct {
		url    string
		config client.Config
	}{
		"refused":           {"http://127.0.0.1:1", client.Config{}},
		"unknown host":      {"http://host.invalid:8080", client.Config{}},
		"a dial that hangs": {plain, client.Config{DialContext: hang}},
		"no certificate":    {tls.URL, client.Config{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.config.Timeout = 50 * time.Millisecond
			_, err := direct(t, test.config).Transfer(t.Context(), test.url, api.TransferRequest{})
			wantCode(t, err, api.CodeUnreachable)
			test.config.Endpoints = []string{test.url}
			_, err = connect(t, test.config).TransferLeadership(t.Context(), 0)
			wantCode(t, err, api.CodeUnreachable)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := direct(t, client.Config{DialContext: hang}).Transfer(ctx, plain, api.TransferRequest{})
	wantCode(t, err, api.CodeCanceled)
}
