package transport

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/http1"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// impostor answers every request as the member would that it is taken for, and counts what it gets beside requests for
// a proof.
type impostor struct {
	key  ed25519.PrivateKey // what it signs proofs with; nil: it echoes
	host string             // that it signs for
	// relay is where it passes requests for a proof on to; "": it answers them itself.
	relay string

	asked, messages atomic.Int64
}

func (i *impostor) handle(conn net.Conn) {
	for in := bufio.NewReader(conn); ; {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = in.Discard(int(max(r.ContentLength, 0)))
		body := `{"term":1,"success":true,"vote_granted":true,"match_index":9,"id":2,"life_cycle":"member"}`
		if r.URL.Path == pathProof {
			i.asked.Add(1)
			body = i.proof(r)
		} else {
			i.messages.Add(1)
		}
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

func (i *impostor) proof(r *http.Request) string {
	challenge := r.Header.Get(headerChallenge)
	switch {
	case i.relay != "":
		conn, err := net.Dial("tcp", i.relay)
		if err != nil {
			return "{}"
		}
		defer conn.Close()
		if err := r.Write(conn); err != nil {
			return "{}"
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), r)
		if err != nil {
			return "{}"
		}
		defer answer.Body.Close()
		var w proofWire
		if err := json.NewDecoder(answer.Body).Decode(&w); err != nil {
			return "{}"
		}
		text, _ := json.Marshal(w)
		return string(text)
	case i.key == nil:
		return `{"proof":"` + challenge + `"}`
	}
	text, _ := json.Marshal(proofWire{ed25519.Sign(i.key, proofText(testCluster, 2, 1, i.host, challenge))})
	return string(text)
}

// While a member is down, a program that claims to be it must get none of its messages, however well it answers.
func TestWhoOnlySaysToBeAMemberGetsNoMessages(t *testing.T) {
	t.Parallel()
	for what, build := range map[string]func(two *testNode) *impostor{
		"echoes":                 func(*testNode) *impostor { return &impostor{} },
		"signs with another key": func(*testNode) *impostor { return &impostor{key: keyOf(3), host: "10.6.6.6"} },
		"signs for another host": func(*testNode) *impostor { return &impostor{key: keyOf(2), host: "10.0.0.9"} },
		"passes on what the member answers": func(two *testNode) *impostor {
			return &impostor{relay: two.listener.Addr().String()}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			one, two, _, n := movedPeer(t, podName)
			evil := build(two)
			n.set("10.6.6.6", program(t, evil.handle))
			one.callFrom(t, 2, "10.6.6.6:41234") // the name leads nowhere
			asks(t, one, "the impostor was asked for a proof", func() bool { return evil.asked.Load() > 1 })
			if _, err := one.Status(t.Context(), 2); err == nil {
				t.Error("it gave a status")
			}
			if got := evil.messages.Load(); got > 0 {
				t.Errorf("it got %d messages", got)
			}
			select {
			case m := <-one.fake.received:
				t.Errorf("its answer was taken: %+v", m)
			default:
			}
			n.set(podName, two.listener.Addr().String())
			beats(t, one, two)
		})
	}
}

func TestAProofIsOfUseForOneQuestionOnly(t *testing.T) {
	t.Parallel()
	text := func(cluster string, member, asker raft.NodeID, host, challenge string) string {
		return string(proofText(cluster, member, asker, host, challenge))
	}
	this := text("c", 2, 1, "10.0.0.2", "x")
	for what, other := range map[string]string{
		"another cluster":   text("d", 2, 1, "10.0.0.2", "x"),
		"another member":    text("c", 3, 1, "10.0.0.2", "x"),
		"another asker":     text("c", 2, 3, "10.0.0.2", "x"),
		"another host":      text("c", 2, 1, "10.0.0.3", "x"),
		"another challenge": text("c", 2, 1, "10.0.0.2", "y"),
	} {
		if other == this {
			t.Errorf("a proof serves for %s as well", what)
		}
	}
}

// With a short challenge a proof could be made in advance, for every one that may come.
func TestAProofIsMadeOverALongChallengeOnly(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 3, func(cfg *Config) {
		if cfg.ID == 2 {
			cfg.Key = keyOf(cfg.ID)
		}
	})
	start(t, nodes...)
	for length, want := range map[int]int{
		0: 400, challengeMin - 1: 400, challengeMin: 200, challengeMax: 200, challengeMax + 1: 400,
	} {
		header := map[string]string{headerChallenge: strings.Repeat("x", length)}
		if status, no := ask(t, nodes[1], http.MethodGet, pathProof, "", header); status != want {
			t.Errorf("a challenge of %d characters is answered with %d %+v, want %d", length, status, no, want)
		}
	}
	header := map[string]string{headerChallenge: strings.Repeat("x", challengeMin), headerTo: "3"}
	if status, no := ask(t, nodes[2], http.MethodGet, pathProof, "", header); status != 400 {
		t.Errorf("a node without a key answers %d %+v", status, no)
	}
}

func TestAHostWhoseKeyIsNotKnownIsNotUsed(t *testing.T) {
	t.Parallel()
	one, two, _, n := movedPeer(t, podName)
	p := one.who.Load().peers[2]
	p.key.Store(nil)
	asks(t, one, "the hint was tried", func() bool { return called(n, "10.0.0.9") })
	if len(two.fake.delivered) > 0 {
		t.Error("a host without proof got a message")
	}
}

// The key comes from where the configured name leads, and from nowhere else.
func TestAKeyIsLearnedWhereTheNameLeads(t *testing.T) { // O20
	t.Parallel()
	learned := make(chan raft.NodeID, 10)
	nodes := newCluster(t, 2, func(cfg *Config) {
		cfg.Key = keyOf(cfg.ID)
		cfg.LearnedKey = func(peer raft.NodeID, key ed25519.PublicKey) {
			if key.Equal(keyOf(peer).Public()) {
				learned <- peer
			}
		}
	})
	nodes[1].fake.status.ID = 2
	start(t, nodes...)
	for range 2 {
		if _, err := nodes[0].Status(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
	}
	if peer := next(t, learned, "the key"); peer != 2 || len(learned) > 0 {
		t.Errorf("learned the key of node %d, and %d more", peer, len(learned))
	}
	p := nodes[0].who.Load().peers[2]
	for _, text := range []string{"", "AAAA", "!", strings.Repeat("A", 1000)} {
		if p.learnKey(text); !p.key.Load().Equal(keyOf(2).Public()) {
			t.Fatalf("%q was taken for a key", text)
		}
	}
}

func TestHearsayNamesAddressesOnly(t *testing.T) {
	t.Parallel()
	w := newWhereabouts("http://"+podName+":7080", http1.Dialer{DialContext: (&names{}).dial}, proved)
	for _, host := range []string{
		"", "evil.example", "10.0.0.1\r\nX: y", "localhost", "10.0.0.1:80", "[::1]", strings.Repeat("1", 1<<16),
	} {
		if w.suggest(host); w.hint.Load() != nil {
			t.Errorf("%.40q became a hint", host)
		}
	}
}

// A web page must not reach the peer port: not by a name that an attacker's DNS leads here, and not by its own origin.
func TestThePeerPortIsNotForWebPages(t *testing.T) { // DNS rebinding
	t.Parallel()
	nodes := newCluster(t, 2, func(cfg *Config) {
		cfg.Members = slices.Clone(cfg.Members)
		cfg.Members[1].Address = "http://Node-2.example.:7080"
		cfg.Hosts = []string{"other.box"}
	})
	two := nodes[1]
	two.fake.readIndex = func(context.Context, raft.NodeID, raft.Term) (raft.Index, error) { return 1, nil }
	start(t, two)
	for _, c := range []struct {
		host, header, value string
		allowed             bool
	}{
		{two.listener.Addr().String(), "", "", true},
		{"localhost:7080", "", "", true},
		{"[::1]", "", "", true},
		{"node-2.example", "", "", true},
		{"Node-2.example.:7080", "", "", true},
		{"other.box", "", "", true},
		{"localhost", "Sec-Fetch-Site", "none", true},
		{"localhost", "Sec-Fetch-Site", "same-origin", false},
		{"evil.example:7080", "", "", false},
		{"10.0.0.1:7080", "", "", false},
		{"node-2.example.evil", "", "", false},
		{"localhost", "Origin", "http://localhost:7080", false},
		{"localhost", "Origin", "null", false},
		{"evil.example:7080", "Origin", "http://evil.example:7080", false},
		{"localhost", "Sec-Fetch-Site", "cross-site", false},
	} {
		for _, route := range []struct{ method, path, body string }{
			{"GET", pathStatus, ""},
			{"POST", pathReadIndex, `{"term":1}`},
			{"POST", pathPropose, `{}`},
			{"GET", pathProof, ""},
			{"POST", pathAppendEntries, `{}`},
			{"POST", pathRequestVote, `{}`},
			{"POST", pathTimeoutNow, `{}`},
			{"GET", "/", ""},
		} {
			for _, header := range []http.Header{identify(testCluster, 1, 2), {}} {
				r, err := http.NewRequestWithContext(t.Context(), route.method, two.url+route.path, strings.NewReader(route.body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header, r.Host = header, c.host
				if c.header != "" {
					r.Header.Set(c.header, c.value)
				}
				r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, two.listener.Addr()))
				answer := &recorder{discarded: discarded{header: http.Header{}}}
				two.Handler().ServeHTTP(answer, r)
				isForbidden := strings.Contains(answer.body, string(api.CodeForbidden))
				if (answer.status == http.StatusForbidden && isForbidden) == c.allowed {
					t.Errorf("%s %s, Host %s, %s %s: %d %s", route.method, route.path, c.host, c.header, c.value, answer.status,
						answer.body)
				}
			}
		}
	}
}

// recorder keeps an answer.
type recorder struct {
	discarded
	status int
	body   string
}

func (r *recorder) WriteHeader(status int) { r.status = status }
func (r *recorder) Write(p []byte) (int, error) {
	r.body += string(p)
	return len(p), nil
}
