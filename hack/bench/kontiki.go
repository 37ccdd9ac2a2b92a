package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/kontiki-dev/kontiki/node/api"
)

// The names of Kontiki's drivers.
const (
	leanName = "plain HTTP"
	sdkName  = "node/client"
)

// kontiki runs `raftnode serve` with its default settings, except for these flags.
type kontiki struct{ flags []string }

func (kontiki) name() string { return "kontiki" }

func (k kontiki) arguments(all []*member, i int) []string {
	var initial []string
	for _, m := range all {
		initial = append(initial, fmt.Sprintf("%d=http://%s", m.number, m.peer))
	}
	return append([]string{
		"serve", "--data-dir", all[i].data, "--listen-api", all[i].api, "--listen-peer", all[i].peer,
		"--id", strconv.Itoa(all[i].number), "--initial-cluster", strings.Join(initial, ","),
		"--advertise-api", "http://" + all[i].api,
	}, k.flags...)
}

func (kontiki) standing(ctx context.Context, m *member) (standing, error) {
	var view api.ClusterView
	if err := getJSON(ctx, "http://"+m.api+api.PathCluster, &view); err != nil {
		return standing{}, err
	}
	return standing{
		ready:   getJSON(ctx, "http://"+m.api+api.PathReady, nil) == nil && view.LeaderID != 0,
		leads:   view.LeaderID == uint64(m.number),
		term:    view.Term,
		applied: view.LastApplied,
	}, nil
}

// getJSON fetches a document, or with nil only checks its status.
func getJSON(ctx context.Context, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return errors.Join(err, fmt.Errorf("%s returned %s", url, response.Status))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

func (kontiki) drivers(all []*member) []driver {
	var nodes []string
	for _, m := range all {
		nodes = append(nodes, m.api)
	}
	return []driver{leanDriver(nodes), sdkDriver(nodes)}
}

func leanDriver(nodes []string) driver {
	return driver{name: leanName, open: func(ctx context.Context, clients, first int) ([]session, func(), error) {
		sessions := make([]session, clients)
		for i := range sessions {
			sessions[i] = newLeanSession(ctx, nodes, first+i)
		}
		return sessions, func() {
			for _, s := range sessions {
				s.(*leanSession).conn.hangUp()
			}
		}, nil
	}}
}

// leanSession is a client that sends plain HTTP on one connection, as wrk does.
type leanSession struct {
	conn         *leanConn
	putRequest   template
	getRequest   template
	localRequest template
	batchRequest template
}

// template is a request whose key and value are overwritten in place.
type template struct {
	text   []byte
	keys   []int // offsets of the keys
	values []int // offsets of the values
}

func newLeanSession(ctx context.Context, nodes []string, first int) *leanSession {
	s := &leanSession{conn: newLeanConn(nodes, first)}
	if deadline, ok := ctx.Deadline(); ok {
		s.conn.deadline = deadline
	}
	head := " HTTP/1.1\r\nHost: " + nodes[first%len(nodes)] + "\r\n"
	path := api.KeyPath(keyName(0))
	stale := "?" + api.ParamConsistency + "=" + string(api.Stale)
	s.getRequest = newTemplate("GET " + path + head + "\r\n")
	s.localRequest = newTemplate("GET " + path + stale + head + "\r\n")
	s.putRequest = newTemplate(fmt.Sprintf("PUT %s%sContent-Length: %d\r\n\r\n%s", path, head, valueBytes, newValue()))
	return s
}

func newTemplate(text string) template {
	t := template{text: []byte(text)}
	name, value := keyName(0), string(newValue()[idDigits:])
	for at := 0; ; {
		i := strings.Index(text[at:], name)
		if i < 0 {
			break
		}
		t.keys = append(t.keys, at+i+len(keyPrefix))
		at += i + len(name)
	}
	for at := 0; ; {
		i := strings.Index(text[at:], value)
		if i < 0 {
			break
		}
		t.values = append(t.values, at+i-idDigits)
		at += i + len(value)
	}
	return t
}

// fill writes the ith key of a template, and its value if it has one.
func (t *template) fill(i, key int, id writeID) {
	setKey(t.text[t.keys[i]:], key)
	if i < len(t.values) {
		setValue(t.text[t.values[i]:t.values[i]+valueBytes], id, key)
	}
}

func (s *leanSession) put(_ context.Context, key int, id writeID) (uint64, error) {
	s.putRequest.fill(0, key, id)
	got, err := s.conn.do(s.putRequest.text)
	if err != nil {
		return 0, err
	}
	if got.etag == 0 {
		return 0, errors.New("the response to a write has no ETag")
	}
	return got.etag, nil
}

func (s *leanSession) get(_ context.Context, key int, local bool) error {
	request := &s.getRequest
	if local {
		request = &s.localRequest
	}
	request.fill(0, key, 0)
	got, err := s.conn.do(request.text)
	if err != nil {
		return err
	}
	if !isValueOf(got.body, key) {
		return fmt.Errorf("a read of %s returned %q", keyName(key), got.body)
	}
	return nil
}

func (s *leanSession) read(_ context.Context, key int) (record, error) {
	s.getRequest.fill(0, key, 0)
	got, err := s.conn.do(s.getRequest.text)
	if api.ErrorCode(err) == api.CodeNotFound {
		return record{}, nil
	}
	if err != nil {
		return record{}, err
	}
	return record{found: true, revision: got.etag, version: got.version, value: bytes.Clone(got.body)}, nil
}

func (s *leanSession) batch(
	_ context.Context, keys []int, ids []writeID, outcome func(i int, revision uint64, err error),
) error {
	if len(s.batchRequest.keys) != len(keys) {
		s.batchRequest = newBatchTemplate(s.conn.nodes[0], len(keys))
	}
	for i, key := range keys {
		s.batchRequest.fill(i, key, ids[i])
	}
	got, err := s.conn.do(s.batchRequest.text)
	if err != nil {
		return err
	}
	lines := bytes.Split(bytes.TrimSpace(got.body), []byte("\n"))
	if len(lines) != len(keys) {
		return fmt.Errorf("the response to a batch of %d has %d lines", len(keys), len(lines))
	}
	for i, line := range lines {
		outcome(lineOutcome(i, line))
	}
	return nil
}

func newBatchTemplate(host string, commands int) template {
	line := fmt.Sprintf(`{"op":"put","key":"%s","value":"%s"}`+"\n", keyName(0), newValue())
	body := strings.Repeat(line, commands)
	return newTemplate(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-ndjson\r\n"+
		"Content-Length: %d\r\n\r\n%s", api.PathBatch, host, len(body), body))
}

// lineOutcome decodes one line of a batch's response: {"index":12,"term":3,"result":...} or {...,"error":{...}}.
func lineOutcome(i int, line []byte) (int, uint64, error) {
	if digits, ok := bytes.CutPrefix(line, []byte(`{"index":`)); ok && !bytes.Contains(line, []byte(`"error"`)) {
		digits, _, _ = bytes.Cut(digits, []byte(","))
		if index, err := strconv.ParseUint(string(digits), 10, 64); err == nil && index > 0 {
			return i, index, nil
		}
	}
	var result api.BatchResult
	if err := json.Unmarshal(line, &result); err != nil {
		return i, 0, fmt.Errorf("line %d of a batch's response is %q: %w", i, line, err)
	}
	if result.Error != nil {
		return i, 0, result.Error
	}
	return i, result.Index, nil
}
