package rest

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/kv"
)

// maxCommandBytes bounds the text of one command, in a body of its own and on a line of a batch. It leaves room for the
// largest value in base64 or with some escapes, and for cas, which carries two.
const maxCommandBytes = 4 * kv.MaxValueBytes

// postCommand is POST /api/command: one api.Command, {"op":"set","key":"x","value":1}. 200
// api.CommandResponse; 400, 404 (a get of an absent key), 409 (an incr of a value that is no integer), 412, 413, 429,
// 503, 504.
func (k *keys) postCommand(c *gin.Context) {
	buf := k.newBuffer()
	defer buf.release()
	if err := buf.read(c.Request, maxCommandBytes); err != nil {
		k.fail(c, err)
		return
	}
	command, err := kv.Parse(buf.b)
	if err != nil {
		k.fail(c, err)
		return
	}
	answer, err := k.do(c.Request.Context(), command, buf)
	if err != nil {
		k.fail(c, err)
		return
	}
	k.answer(c.Writer, http.StatusOK, typeJSON, append(answer, '\n'))
}

// do carries out one command and returns the api.CommandResponse. The memory that it takes is charged to held.
func (k *keys) do(ctx context.Context, command kv.Operation, held *buffer) ([]byte, error) {
	if get, is := command.(*kv.Get); is {
		return k.doGet(ctx, get, held)
	}
	outcome, err := k.propose(ctx, command, held)
	if err != nil {
		return nil, err
	}
	answer := make([]byte, 0, outcome.Result.JSONSize()+smallAnswer)
	return appendAnswer(answer, command.Op(), outcome.Index, outcome.Term, &outcome.Result), nil
}

func (k *keys) doGet(ctx context.Context, get *kv.Get, held *buffer) ([]byte, error) {
	if err := get.Validate(); err != nil {
		return nil, err
	}
	if err := k.barrier(ctx); err != nil {
		return nil, err
	}
	// The revision is read first: the record that is read afterwards is at least as new.
	revision, term := k.node.Revision(), k.node.Status().CurrentTerm
	key := string(get.Key)
	record, ok := k.node.Get(key)
	if err := k.node.Sound(); err != nil {
		return nil, err
	}
	if !ok {
		return nil, noSuchKey(key, 0)
	}
	size := recordSize(&record)
	if size > budget.Allowance && !held.take(size) {
		return nil, errNoMemory
	}
	return appendRead(make([]byte, 0, size), revision, uint64(term), &record), nil
}
