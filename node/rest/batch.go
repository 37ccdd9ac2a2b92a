package rest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/kv"
)

const (
	// batchChunk is how many lines are processed together: their writes are proposed in one call, and their gets share
	// one read barrier.
	batchChunk = 4096
	// batchFlush is how many bytes of the response are buffered before they are sent; a shorter response is sent whole.
	batchFlush = 64 << 10
	// lineCost is how many bytes of memory a line takes beside its text: its state, its proposal and its outcome.
	lineCost = 512
)

// postBatch is POST /api/v1/batch: one api.Command per line, up to 8 MiB. 200 and one api.BatchResult per line, in
// order; 400 and 413 only for the body as a whole.
//
// The commands are independent: each succeeds or fails by itself. Writes take effect in the order of their lines. Puts
// and sets without a condition that follow each other, of different keys, share a log entry and so a revision
// (kv.Group): most of what an entry costs does not depend on its length. Every other write has an entry of its own. A
// get returns the state after the writes of its chunk: of all lines before it, and possibly of lines after it. The
// query sets the consistency of the gets, as for a GET of a key: stale gets need no leader, and may miss the writes of
// the same batch.
func (k *keys) postBatch(c *gin.Context) {
	buf := k.newBuffer()
	defer buf.release()
	if err := buf.read(c.Request, api.MaxBatchBytes); err != nil {
		k.fail(c, err)
		return
	}
	if query := c.Request.URL.RawQuery; query != "" {
		if _, err := parseReadQuery(query); err != nil {
			k.fail(c, err)
			return
		}
	}
	out := &batchWriter{responder: k.responder, w: c.Writer, buf: k.newBuffer()}
	defer out.buf.release()
	ctx := c.Request.Context()
	most := min(batchChunk, 1+bytes.Count(buf.b, newLine))
	if !buf.take(most*lineCost + len(buf.b)) { // encoded commands are about as long as their lines
		k.fail(c, errNoMemory)
		return
	}
	chunk := batch{parser: kv.NewParser(), lines: make([]batchLine, 0, most)}
	for rest := buf.b; ctx.Err() == nil; {
		rest = chunk.parse(rest)
		if len(chunk.lines) == 0 {
			break
		}
		chunk.do(c.Request, k, out)
	}
	if out.lines == 0 {
		k.fail(c, invalid(`the body holds no command; send one JSON object per line, like {"op":"get","key":"x"}`))
		return
	}
	out.finish()
}

var newLine = []byte{'\n'}

// batchLine is one command in progress. It has an error, or is a get, or has a slot among the writes.
type batchLine struct {
	err  error
	op   kv.Op
	key  string // of a get
	slot int    // of a write, among the outcomes: that of its group
}

// batch is a chunk of the lines of one request.
type batch struct {
	parser   kv.Parser
	lines    []batchLine
	writes   [][]byte
	group    kv.Group // of the last writes
	outcomes []node.Outcome
	parts    kv.Parts // of the outcome in slot parted-1
	parted   int
	gets     bool
	much     bool            // there is an operation that may answer much
	answers  *budget.Account // of such a chunk
	// When the gets of the chunk were read.
	readErr        error
	fresh          freshRead
	revision, term uint64
	// leaderless: the request has waited for a leader once, without a result. The rest of it is refused at once, because
	// each further wait would add to the first.
	leaderless bool
}

// parse fills the batch with the next lines of body and returns the rest. Empty lines do not count.
func (b *batch) parse(body []byte) (rest []byte) {
	b.lines, b.writes, b.gets, b.much = b.lines[:0], b.writes[:0], false, false
	for len(body) > 0 && len(b.lines) < batchChunk {
		var line []byte
		line, body, _ = bytes.Cut(body, newLine)
		if line = bytes.TrimSpace(line); len(line) > 0 {
			b.lines = append(b.lines, b.take(line))
		}
	}
	b.endGroup()
	return body
}

// endGroup makes the group a write.
func (b *batch) endGroup() {
	if command := b.group.Take(); command != nil {
		b.writes = append(b.writes, command)
	}
}

func (b *batch) take(line []byte) batchLine {
	if len(line) > maxCommandBytes {
		return batchLine{err: &api.Error{
			Code: api.CodeTooLarge, Limit: maxCommandBytes,
			Message: fmt.Sprintf("the line has %d bytes; a command may have %d", len(line), maxCommandBytes),
		}}
	}
	command, err := b.parser.Parse(line)
	if err == nil {
		err = validate(command)
	}
	if err != nil {
		return batchLine{err: err}
	}
	op := command.Op()
	if get, is := command.(*kv.Get); is {
		b.gets = true
		return batchLine{op: op, key: string(get.Key)}
	}
	if b.group.Add(command) {
		return batchLine{op: op, slot: len(b.writes)}
	}
	b.endGroup()
	if b.group.Add(command) {
		return batchLine{op: op, slot: len(b.writes)}
	}
	b.much = b.much || mayAnswerMuch(op)
	b.writes = append(b.writes, encode(command))
	return batchLine{op: op, slot: len(b.writes) - 1}
}

// do runs and answers the chunk. The stored values in the results are charged until then.
func (b *batch) do(r *http.Request, k *keys, out *batchWriter) {
	if b.much {
		b.answers = k.memory.NewAccount(budget.Clients, 0)
		defer b.answers.Close()
	}
	b.run(r, k)
	b.answer(r, k, out)
}

// run replicates the writes; then, if there are gets, it makes local reads as fresh as the query requires.
func (b *batch) run(r *http.Request, k *keys) {
	b.outcomes, b.readErr, b.parted = nil, nil, 0
	if len(b.writes) > 0 {
		b.propose(r, k)
	}
	if b.gets {
		b.readErr = b.makeFresh(r, k)
		b.revision, b.term = k.node.Revision(), k.node.Status().CurrentTerm
	}
}

func (b *batch) propose(r *http.Request, k *keys) {
	if !b.leaderless {
		ctx := r.Context()
		if b.much {
			ctx = node.WithAnswerBudget(ctx, b.answers)
		}
		b.outcomes = k.node.Propose(ctx, b.writes)
		b.leaderless = slices.ContainsFunc(b.outcomes, func(o node.Outcome) bool {
			waited := errors.Is(o.Err, node.ErrOutcomeUnknown) && k.node.Status().LeaderID == 0
			return waited || errors.Is(o.Err, node.ErrNoLeader)
		})
		return
	}
	b.outcomes = make([]node.Outcome, len(b.writes))
	for i := range b.outcomes {
		b.outcomes[i].Err = node.ErrNoLeader
	}
}

func (b *batch) makeFresh(r *http.Request, k *keys) error {
	q, err := parseReadQuery(r.URL.RawQuery)
	if err == nil && b.leaderless && !q.stale {
		err = node.ErrNoLeader
	}
	if err != nil {
		return err
	}
	b.fresh, err = k.makeFresh(r.Context(), q)
	b.leaderless = b.leaderless || errors.Is(err, node.ErrNoLeader)
	return err
}

func (b *batch) answer(r *http.Request, k *keys, out *batchWriter) {
	for i := range b.lines {
		line := &b.lines[i]
		err := line.err
		switch {
		case err != nil:
		case line.op == kv.OpGet:
			err = b.answerGet(r, k, out, line.key)
		default:
			err = b.answerWrite(out, line)
		}
		if err != nil {
			out.line(append(appendError(append(out.buf.b, `{"error":`...), k.explain(err)), '}'))
		}
	}
}

func (b *batch) answerGet(r *http.Request, k *keys, out *batchWriter, key string) error {
	if b.readErr != nil {
		return b.readErr
	}
	record, ok := k.node.Get(key)
	err := cmp.Or(k.node.Sound(), b.fresh.check())
	if errors.Is(err, errLeaseEnded) {
		b.fresh.holds, b.readErr = nil, k.barrier(r.Context())
		return b.answerGet(r, k, out, key)
	}
	if err != nil {
		return err
	}
	if !ok {
		return noSuchKey(key, 0)
	}
	if !out.room(recordSize(&record)) {
		return errNoMemory
	}
	out.line(appendRead(out.buf.b, b.revision, b.term, &record))
	return nil
}

func (b *batch) answerWrite(out *batchWriter, line *batchLine) error {
	outcome := &b.outcomes[line.slot]
	if outcome.Err != nil {
		return outcome.Err
	}
	if line.op == kv.OpPut || line.op == kv.OpSet {
		return b.answerPart(out, line, outcome)
	}
	if refusal := refused(outcome.Result); refusal != nil {
		return refusal
	}
	size := outcome.Result.JSONSize()
	changed := outcome.Result.Revision == uint64(outcome.Index)
	if mayAnswerMuch(line.op) && (!changed || size > smallAnswer) && !out.room(size+smallAnswer) {
		if changed {
			return errResultLost
		}
		return errNoMemory // nothing was changed, so the client may send the command again
	}
	out.line(appendAnswer(out.buf.b, line.op, outcome.Index, outcome.Term, &outcome.Result))
	outcome.Result = kv.Result{}
	return nil
}

// answerPart answers a put or set, which may be one of a group.
func (b *batch) answerPart(out *batchWriter, line *batchLine, outcome *node.Outcome) error {
	if b.parted != line.slot+1 {
		b.parts, b.parted = outcome.Result.Parts(), line.slot+1
	}
	result, ok := b.parts.Next()
	if !ok {
		return errResultLost
	}
	if refusal := refused(result); refusal != nil {
		return refusal
	}
	out.line(appendAnswer(out.buf.b, line.op, outcome.Index, outcome.Term, &result))
	return nil
}

// batchWriter buffers the response and sends it in pieces, because the values of many gets can be much longer than the
// request.
type batchWriter struct {
	*responder
	w     gin.ResponseWriter
	buf   *buffer
	lines int
}

// line accepts the buffer with one more line appended.
func (o *batchWriter) line(b []byte) {
	o.buf.b = append(b, '\n')
	o.lines++
	if len(o.buf.b) >= batchFlush {
		o.header()
		_, _ = o.w.Write(o.buf.b) // if the client is gone, the context of the request ends, which postBatch checks
		o.buf.b = o.buf.b[:0]
	}
}

// room reserves memory for a line, and reports whether the server has it. It grows the buffer by more than that if
// possible, so that growing takes linear time in total.
func (o *batchWriter) room(size int) bool {
	if len(o.buf.b)+size <= cap(o.buf.b) {
		return true
	}
	return o.buf.room(max(size, min(cap(o.buf.b), batchFlush))) || o.buf.room(size)
}

func (o *batchWriter) header() {
	if o.w.Written() {
		return
	}
	h := o.w.Header()
	h["Content-Type"] = typeNDJSON
	h["Cache-Control"] = noStore
	o.stampRevision(h)
	o.w.WriteHeader(http.StatusOK)
}

// finish sends the rest of the response.
func (o *batchWriter) finish() {
	if !o.w.Written() {
		o.answer(o.w, http.StatusOK, typeNDJSON, o.buf.b)
		return
	}
	_, _ = o.w.Write(o.buf.b) // as in line
}
