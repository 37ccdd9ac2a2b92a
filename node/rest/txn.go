package rest

import (
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/kv"
)

// operationCost is how many bytes of memory an operation of a transaction takes beside its text.
const operationCost = 256

// postTxn is POST /api/v1/txn: an api.Txn of up to 8 MiB. 200 api.TxnResponse, also if a comparison does not hold; 400;
// 409 if a key would be changed twice, or a value does not fit its operation; 412 if an operation's own condition does
// not hold; 413 for the body, the number of operations, the keys that are visited and the values that are read; 429,
// 503, 504. Nothing is changed by a transaction that fails, unless its outcome is unknown.
func (k *keys) postTxn(c *gin.Context) {
	buf := k.newBuffer()
	defer buf.release()
	err := buf.read(c.Request, api.MaxTxnBytes)
	if err != nil {
		k.fail(c, err)
		return
	}
	txn, err := kv.ParseTxn(buf.b)
	if err == nil && !buf.take(len(buf.b)+operationCost*(len(txn.If)+len(txn.Then)+len(txn.Else))) {
		err = errNoMemory
	}
	if err != nil {
		k.fail(c, err)
		return
	}
	outcome, err := k.propose(c.Request.Context(), txn, buf)
	if err != nil {
		k.fail(c, err)
		return
	}
	result := outcome.Result.JSON() // {"succeeded":...
	answer := make([]byte, 0, len(result)+smallAnswer)
	answer = strconv.AppendUint(append(answer, `{"revision":`...), uint64(outcome.Index), 10)
	answer = append(append(append(answer, ','), result[len("{"):]...), '\n')
	c.Writer.Header()[api.HeaderRevision] = decimal(uint64(outcome.Index))
	k.answer(c.Writer, http.StatusOK, typeJSON, answer)
}

// validateTxn checks what this package checks of the operations in a transaction.
func validateTxn(txn *kv.Txn) error {
	for _, list := range [][]kv.Operation{txn.Then, txn.Else} {
		for _, o := range list {
			if put, is := o.(*kv.Put); is {
				if err := validateMediaType(put.ContentType); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// mayAnswerMuch reports whether the result of an operation may hold stored values.
func mayAnswerMuch(op kv.Op) bool { return op == kv.OpCAS || op == kv.OpTxn }
