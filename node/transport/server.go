package transport

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/http1"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// Limits of the peer port (trap H4). A peer gives up a request of the greatest length after 17 s, and one that a node
// takes long to answer sooner, so that these are for others than peers.
const (
	maxHeaderBytes    = 16 << 10
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 20 * time.Second
	// answerTimeout bounds a request from its header to the end of its answer.
	answerTimeout = time.Minute
	idleTimeout   = 2 * time.Minute
	// commandCost is what a command of a propose request takes beside its text: its proposal and its outcome.
	commandCost = 512
	// maxOutcomeBytes is what the values in the answer to a propose request may take, and their text as much again. The
	// whole answer is shorter than MaxBodyBytes, or the follower could not read it.
	maxOutcomeBytes = 8 << 20
	// maxSmallRequest bounds the body of a request that has a few numbers, and maxGenesisRequest that of one with the
	// founders, which are 99 at most and take 7 KiB.
	maxSmallRequest   = budget.Allowance
	maxGenesisRequest = 16 << 10
)

func (t *Transport) newServer() *http.Server {
	s := &http.Server{
		Handler:           t.Handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(t.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return t.ctx },
	}
	budget.Attach(s)
	return s
}

// Handler answers the routes of the peer port.
func (t *Transport) Handler() http.Handler {
	large := t.cfg.MaxBodyBytes
	routes := map[string]endpoint{
		pathRequestVote:   {http.MethodPost, t.postOfAny(maxSmallRequest, t.message(raft.MsgRequestVote))},
		pathAppendEntries: {http.MethodPost, t.postOfAny(large, t.message(raft.MsgAppendEntries))},
		pathTimeoutNow:    {http.MethodPost, t.postOfAny(maxSmallRequest, t.message(raft.MsgTimeoutNow))},
		pathPropose:       {http.MethodPost, t.post(large, t.propose)},
		pathReadIndex:     {http.MethodPost, t.post(maxSmallRequest, t.readIndex)},
		pathGenesis:       {http.MethodPost, t.postOfAny(maxGenesisRequest, t.genesis)},
		pathFingerprint:   {http.MethodPost, t.post(maxSmallRequest, t.fingerprint)},
		pathStateDigest:   {http.MethodPost, t.post(maxSmallRequest, t.stateDigest)},
		pathTransfer:      {http.MethodPost, t.post(maxSmallRequest, t.transfer)},
		pathMembers:       {http.MethodPost, t.post(maxMemberChange, t.changeMembers)},
		pathOffer:         {http.MethodPost, t.takeOffer},
		pathSnapshot:      {http.MethodPost, t.postOfAny(maxChunkRequest, t.installSnapshot)},
		pathStatus:        {http.MethodGet, t.status},
		pathProof:         {http.MethodGet, t.prove},
	}
	return t.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, ok := routes[r.URL.Path]
		switch {
		case !ok:
			writeRefusal(w, refuse(api.CodeNotFound, "there is no route %.100q on the peer port", r.URL.Path))
		case r.Method != found.method && (r.Method != http.MethodHead || found.method != http.MethodGet):
			w.Header().Set("Allow", found.method)
			writeRefusal(w, refuse(api.CodeMethodNotAllowed, "%s takes %s and not %.20q", r.URL.Path, found.method, r.Method))
		default:
			found.serve(w, r)
		}
	}))
}

// endpoint is how a path of the peer port is served.
type endpoint struct {
	method string
	serve  http.HandlerFunc
}

// incoming is a request whose headers were checked.
type incoming struct {
	ctx      context.Context
	receiver Receiver
	from     raft.NodeID
	body     []byte
	// held is the memory of a request that is not small, values that of the values in the answer to a proposal; nil: none.
	held, values *budget.Account
}

// close returns the memory of the request and its answer.
func (in *incoming) close() {
	in.held.Close()
	in.values.Close()
}

// answerer makes the body that answers a request, appended to dst.
type answerer func(in *incoming, dst []byte) ([]byte, *refusal)

// answers lends memory to the bodies of answers.
var answers = sync.Pool{New: func() any { return new([]byte) }}

// post makes the handler of one kind of request of peers, whose body has at most limit bytes.
func (t *Transport) post(limit int64, answer answerer) http.HandlerFunc {
	return t.handle(t.identified, limit, answer)
}

// postOfAny is post for requests that the core or the node judges by its own log: the sender need not be a peer.
func (t *Transport) postOfAny(limit int64, answer answerer) http.HandlerFunc {
	return t.handle(func(r *http.Request) (raft.NodeID, *refusal) {
		from, _, no := t.sender(r)
		return from, no
	}, limit, answer)
}

func (t *Transport) handle(
	whose func(*http.Request) (raft.NodeID, *refusal), limit int64, answer answerer,
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		in, no := t.admit(w, r, whose, limit)
		defer in.close()
		if no != nil {
			writeRefusal(w, no)
			return
		}
		buffer := answers.Get().(*[]byte)
		text, no := answer(in, (*buffer)[:0])
		if t.isBlocked(in.from) { // cut while the answer was made
			panic(http.ErrAbortHandler)
		}
		if no != nil {
			writeRefusal(w, no)
		} else {
			write(w, http.StatusOK, text)
			*buffer = text
		}
		if cap(*buffer) <= keptBytes {
			answers.Put(buffer)
		}
	}
}

// admit checks who asks, and reads the body, of at most limit bytes.
func (t *Transport) admit(
	w http.ResponseWriter, r *http.Request, whose func(*http.Request) (raft.NodeID, *refusal), limit int64,
) (*incoming, *refusal) {
	in := &incoming{ctx: r.Context()}
	var no *refusal
	if in.from, no = whose(r); no == nil {
		no = t.who.Load().checkFounders(r)
	}
	if no != nil {
		return in, no
	}
	receiver := t.receiver.Load()
	if receiver == nil {
		return in, refuseWith(node.ErrNotReady)
	}
	in.receiver = *receiver
	if r.ContentLength < 0 || r.ContentLength > budget.Allowance {
		in.held = t.cfg.Memory.NewAccount(budget.Peers, 0)
	}
	// The reader also makes the server hang up on a body that is longer, instead of reading the rest of it.
	var err error
	in.body, err = http1.ReadBody(http.MaxBytesReader(w, r.Body, limit), r.ContentLength, limit, in.held)
	var over *http.MaxBytesError
	switch {
	case err == nil:
		return in, nil
	case errors.Is(err, http1.ErrTooLarge) || errors.As(err, &over):
		return in, refuse(api.CodeTooLarge, "the body has more than %d bytes", limit)
	case errors.Is(err, http1.ErrNoMemory):
		w.Header()["Connection"] = []string{"close"} // rather than read what is left of the body
		return in, refuse(api.CodeOverloaded, "overloaded: %s", err)
	}
	return in, refuse(api.CodeInvalid, "cannot read the body: %s", err)
}

// message answers the requests of one type of Raft message.
func (t *Transport) message(kind raft.MessageType) answerer {
	return func(in *incoming, dst []byte) ([]byte, *refusal) {
		m, err := decodeRequest(kind, in.body, in.held)
		switch {
		case errors.Is(err, http1.ErrNoMemory):
			return nil, refuse(api.CodeOverloaded, "overloaded: %s", err)
		case err != nil:
			return nil, refuse(api.CodeInvalid, "cannot read the body: %s", err)
		}
		if m.From != in.from {
			return nil, refuse(api.CodeInvalid, "the body is from node %d, but %s is %d", m.From, headerFrom, in.from)
		}
		m.To = t.who.Load().id
		response, err := in.receiver.Deliver(in.ctx, m)
		t.judge(in.from, err)
		if err != nil {
			return nil, refuseWith(err)
		}
		return appendResponse(dst, &response), nil
	}
}

// judge notes whether a peer's message was one that no correct peer sends, and writes a line when it begins to send
// such, but not soon after the last one: it may have lost its disk, or be no member at all.
func (t *Transport) judge(from raft.NodeID, err error) {
	p, isBad := t.who.Load().peers[from], errors.Is(err, raft.ErrBadMessage)
	if p == nil || p.bad.Load() == isBad { // removed meanwhile, or as always
		return
	}
	if !isBad {
		p.bad.Store(false)
		return
	}
	p.mu.Lock()
	mayLog := p.mayLog(lineBad)
	p.mu.Unlock()
	if mayLog {
		p.bad.Store(true)
		t.log.Error("a peer sends what no correct peer can send; its messages are refused", "peer", from,
			"address", p.member.Address, "error", err)
	}
}

func (t *Transport) propose(in *incoming, dst []byte) ([]byte, *refusal) {
	commands, err := decodeCommands(in.body)
	if err != nil {
		return nil, refuse(api.CodeInvalid, "cannot read the body: %s", err)
	}
	if cost := len(commands) * commandCost; in.held != nil && !in.held.Take(cost) {
		return nil, refuse(api.CodeOverloaded, "overloaded: there is no memory for %d commands",
			len(commands))
	}
	in.values = t.cfg.Memory.NewAccount(budget.Peers, maxOutcomeBytes)
	ctx := node.WithAnswerBudget(in.ctx, budget.Twice{Account: in.values})
	outcomes := in.receiver.HandlePropose(ctx, commands)
	return appendOutcomes(slices.Grow(dst, sizeOf(outcomes)), outcomes), nil
}

// sizeOf is about how long the text of outcomes is.
func sizeOf(outcomes []node.Outcome) int {
	const names = 128
	size := 0
	for i := range outcomes {
		size += names + outcomes[i].Result.JSONSize() + len(outcomes[i].Result.Message)
	}
	return size
}

func (t *Transport) readIndex(in *incoming, dst []byte) ([]byte, *refusal) {
	var question struct {
		Term  raft.Term `json:"term"`
		Lease bool      `json:"lease"`
	}
	if err := json.Unmarshal(in.body, &question); err != nil {
		return nil, refuse(api.CodeInvalid, "cannot read the body: %s", err)
	}
	point, err := in.receiver.HandleReadIndex(in.ctx, in.from, question.Term, question.Lease)
	if err != nil {
		return nil, refuseWith(err)
	}
	dst = jsontext.AppendUint(dst, `{"index":`, uint64(point.Index))
	if point.Leased {
		dst = append(dst, `,"leased":true`...)
	}
	return append(dst, '}'), nil
}

// genesis answers a member that founds the cluster. One that is no member any more is answered only that its disk was
// lost: with enough others like it, it would found the cluster a second time (trap T28).
func (t *Transport) genesis(in *incoming, dst []byte) ([]byte, *refusal) {
	var request identity.GenesisRequest
	if err := json.Unmarshal(in.body, &request); err != nil {
		return nil, refuse(api.CodeInvalid, "cannot read the body: %s", err)
	}
	who := t.who.Load()
	_, isPeer := who.peers[in.from]
	if !isPeer {
		request = identity.GenesisRequest{} // which changes nothing
	}
	answer, err := in.receiver.HandleGenesis(in.ctx, request)
	isFounder := func(s raft.Seat) bool { return s.Member == in.from }
	switch {
	case !isPeer && (err != nil || !answer.Founded || !slices.ContainsFunc(answer.Founders, isFounder)):
		return nil, noPeer(strconv.FormatUint(uint64(in.from), 10), who)
	case err != nil:
		return nil, refuseWith(err)
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, refuse("internal", "cannot write the answer: %s", err)
	}
	return append(dst, text...), nil
}

func (t *Transport) fingerprint(in *incoming, dst []byte) ([]byte, *refusal) {
	var theirs divergence.Fingerprint
	if err := json.Unmarshal(in.body, &theirs); err != nil {
		return nil, refuse(api.CodeInvalid, "cannot read the body: %s", err)
	}
	ours, err := in.receiver.HandleFingerprint(in.ctx, in.from, theirs)
	if err != nil {
		return nil, refuseWith(err)
	}
	return appendFingerprint(dst, ours), nil
}

func (t *Transport) stateDigest(in *incoming, dst []byte) ([]byte, *refusal) {
	var w indexWire
	if err := json.Unmarshal(in.body, &w); err != nil {
		return nil, refuse(api.CodeInvalid, "cannot read the body: %s", err)
	}
	if w.Index == 0 || w.Index > 1<<53 {
		return nil, refuse(api.CodeInvalid, "index must be that of a check entry, from 1 to 2^53; it is %d", w.Index)
	}
	state, err := in.receiver.HandleStateDigest(in.ctx, w.Index)
	if err != nil {
		return nil, refuseWith(err)
	}
	return appendState(dst, state), nil
}

func (t *Transport) transfer(in *incoming, dst []byte) ([]byte, *refusal) {
	var order transferWire
	if err := json.Unmarshal(in.body, &order); err != nil {
		return nil, refuse(api.CodeInvalid, "cannot read the body: %s", err)
	}
	if err := in.receiver.TransferLeadershipIn(in.ctx, order.Term, order.To); err != nil {
		return nil, refuseWith(err)
	}
	return append(dst, `{"done":true}`...), nil
}

// status answers peers, and people: a request without any of our headers is answered too.
func (t *Transport) status(w http.ResponseWriter, r *http.Request) {
	if fromPeer(r) {
		// An empty node reports to every program that it is empty: its peers show it, and a cluster that starts counts it.
		if _, no := t.identified(r); no != nil && !errors.Is(no, node.ErrNotReady) {
			writeRefusal(w, no)
			return
		}
	}
	receiver := t.receiver.Load()
	if receiver == nil {
		writeRefusal(w, refuseWith(node.ErrNotReady))
		return
	}
	text, err := json.Marshal(statusAnswer{(*receiver).HandleStatus(), t.who.Load().calledFrom(), t.ownKey()})
	if err != nil {
		writeRefusal(w, refuse("internal", "cannot write the status: %s", err))
		return
	}
	ofPeer(w)
	held := t.cfg.Memory.NewAccount(budget.Peers, 0)
	defer held.Close()
	if !held.Take(len(text)) {
		writeRefusal(w, refuseWith(node.ErrOverloaded))
		return
	}
	write(w, http.StatusOK, text)
}

func writeRefusal(w http.ResponseWriter, no *refusal) {
	ofPeer(w)
	write(w, no.status, appendRefusal(nil, no))
}

func write(w http.ResponseWriter, status int, text []byte) {
	h := w.Header()
	h["Date"] = nil // no peer reads it, and the server would format the time
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(text))}
	w.WriteHeader(status)
	_, _ = w.Write(text) // if the peer hung up it will ask again
}
