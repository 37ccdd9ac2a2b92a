package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// tap is a port in front of another that notes the bytes which pass in each direction.
type tap struct {
	url         string
	there, back syncBuffer
	mu          sync.Mutex
	connections []net.Conn
	copied      sync.WaitGroup
}

func newTap(t *testing.T, target string) *tap {
	l := listen(t)
	p := &tap{url: "http://" + l.Addr().String()}
	p.copied.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				_ = in.Close()
				continue
			}
			p.mu.Lock()
			p.connections = append(p.connections, in, out)
			p.mu.Unlock()
			p.copied.Go(func() { p.copy(io.MultiWriter(&p.there, out), in, out) })
			p.copied.Go(func() { p.copy(io.MultiWriter(&p.back, in), out, in) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		for _, c := range p.connections {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.copied.Wait()
	})
	return p
}

func (p *tap) copy(to io.Writer, from io.Reader, then net.Conn) {
	_, _ = io.Copy(to, from)
	_ = then.Close()
}

// tapped returns nodes 1 and 2, and what taps the requests of node 1 to node 2.
func tapped(t *testing.T) ([]*testNode, *tap) {
	t.Helper()
	var p *tap
	nodes := newCluster(t, 2, func(cfg *Config) {
		if cfg.ID == 1 {
			p = newTap(t, strings.TrimPrefix(cfg.Members[1].Address, "http://"))
			cfg.Members = slices.Clone(cfg.Members)
			cfg.Members[1].Address = p.url
		}
	})
	return nodes, p
}

// fields decodes a body as any JSON program would, and gives its field names in order of the alphabet.
func fields(t *testing.T, body []byte) (map[string]any, string) {
	t.Helper()
	var decoded map[string]any
	if err := json.Unmarshal(body, &decoded); err != nil {
		t.Fatalf("%q is not JSON: %v", body, err)
	}
	return decoded, strings.Join(slices.Sorted(maps.Keys(decoded)), " ")
}

// A packet capture shows readable JSON with the seed's names and our own beside them.
func TestPacketsAreReadableJSON(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		path, request, response string
		exchange                func(n *testNode)
	}{
		"vote": {
			path:     pathRequestVote,
			request:  "candidate_id last_log_index last_log_term pre_vote term transfer",
			response: "pre_vote term vote_granted",
			exchange: func(n *testNode) { n.Send([]raft.Message{{Type: raft.MsgRequestVote, From: 1, To: 2}}) },
		},
		"append": {
			path:     pathAppendEntries,
			request:  "entries leader_commit leader_id prev_log_index prev_log_term read_seq request_id term",
			response: "conflict_index conflict_term match_index read_seq request_id success term",
			exchange: func(n *testNode) { n.Send([]raft.Message{bulkAppend(2, 1)}) },
		},
		"timeout-now": {
			path:     pathTimeoutNow,
			request:  "leader_id term",
			response: "term",
			exchange: func(n *testNode) { n.Send([]raft.Message{{Type: raft.MsgTimeoutNow, From: 1, To: 2}}) },
		},
		"read-index": {
			path:     pathReadIndex,
			request:  "lease term",
			response: "index leased",
			exchange: func(n *testNode) { _, _ = n.ReadIndex(context.Background(), 2, 1, true) },
		},
		"transfer": {
			path:     pathTransfer,
			request:  "term to",
			response: "done",
			exchange: func(n *testNode) { _ = n.Transfer(context.Background(), 2, 1, 3) },
		},
		"propose": {
			path:     pathPropose,
			request:  "commands",
			response: "outcomes",
			exchange: func(n *testNode) { _, _ = n.Propose(context.Background(), 2, oneCommand) },
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes, p := tapped(t)
			nodes[1].fake.transfer = func(context.Context, raft.Term, raft.NodeID) error { return nil }
			nodes[1].fake.readIndex = func(context.Context, raft.NodeID, raft.Term) (raft.Index, error) { return 7, nil }
			nodes[1].fake.propose = func(context.Context, [][]byte) []node.Outcome {
				return []node.Outcome{{Index: 7, Term: 1, Result: kv.Result{Revision: 7}}}
			}
			start(t, nodes...)
			c.exchange(nodes[0])
			request, response := p.packets(t)
			if request.path != c.path {
				t.Errorf("path %s, want %s", request.path, c.path)
			}
			if _, names := fields(t, request.body); names != c.request {
				t.Errorf("request has %q\nwant        %q", names, c.request)
			}
			if _, names := fields(t, response.body); names != c.response {
				t.Errorf("response has %q\nwant         %q", names, c.response)
			}
			if response.header["Date"] != nil || response.header.Get("Content-Length") == "" {
				t.Errorf("the response has the headers %v", response.header)
			}
		})
	}
}

// packet is one HTTP message as it passed the tap.
type packet struct {
	path   string
	header http.Header
	body   []byte
}

// packets waits until one exchange has passed the tap whole.
func (p *tap) packets(t *testing.T) (request, response packet) {
	t.Helper()
	eventually(t, "an exchange has passed", func() bool {
		in, err := http.ReadRequest(bufio.NewReader(strings.NewReader(p.there.String())))
		if err != nil {
			return false
		}
		request = packet{path: in.URL.Path, header: in.Header}
		if request.body, err = io.ReadAll(in.Body); err != nil {
			return false
		}
		out, err := http.ReadResponse(bufio.NewReader(strings.NewReader(p.back.String())), in)
		if err != nil {
			return false
		}
		defer out.Body.Close()
		response.header = out.Header
		response.body, err = io.ReadAll(out.Body)
		return err == nil
	})
	return request, response
}

// The JSON of a command is made once, when it is proposed. Spaces, escapes, the order and the spelling of
// numbers inside it must not change, or the copies of the log would differ.
func TestCommandsTravelVerbatim(t *testing.T) {
	t.Parallel()
	nodes, p := tapped(t)
	commands := []string{
		`{"op": "set",  "value": "\u00e9\/<>&", "n": 1.0e+2}`, `{"b":1,"a":12345678901234567890.10}`, `"é"`, `null`, `[ ]`,
	}
	start(t, nodes...)
	m := heartbeat(2, 1)
	m.Entries = entries(1, commands...)
	nodes[0].Send([]raft.Message{m})
	got := next(t, nodes[1].fake.delivered, "the entries")
	request, _ := p.packets(t)
	for i, command := range commands {
		if !bytes.Contains(request.body, []byte(`"command":`+command+`,"timestamp":`)) {
			t.Errorf("%s is not in the packet %s", command, request.body)
		}
		if string(got.Entries[i].Command) != command {
			t.Errorf("%s arrived as %s", command, got.Entries[i].Command)
		}
	}
	decoded, _ := fields(t, request.body)
	entry, _ := decoded["entries"].([]any)[0].(map[string]any)
	if names := strings.Join(slices.Sorted(maps.Keys(entry)), " "); names != "command index term timestamp type" {
		t.Errorf("an entry has %q", names)
	}
	if entry["timestamp"] != 1790000000.123456 || entry["type"] != "command" {
		t.Errorf("an entry shows as %v", entry)
	}
}
