package rest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/kv"
)

// rangeParameters are the parameters of a DELETE of a range.
var rangeParameters = []string{api.ParamPrefix, api.ParamFrom, api.ParamTo}

// deleteTime is how long a DELETE of a range goes on: less than what clients usually wait.
const deleteTime = 3 * time.Second

// deletedPart is the result of a part of a DELETE of a range.
type deletedPart struct {
	Deleted int    `json:"deleted"`
	More    bool   `json:"more"`
	Next    string `json:"next"`
}

// deleteRange is DELETE /api/v1/kv?prefix=, or ?from=&to=: it deletes the keys of a range, up to 10,000 of them at a
// revision, one part after the other. 200 api.DeleteRangeResponse, with more if its time was over before the range was;
// 400, 413, 429, 503, 504. It may be repeated.
func (k *keys) deleteRange(c *gin.Context) {
	span, err := rangeOf(c.Request.URL.RawQuery)
	if err != nil {
		k.fail(c, err)
		return
	}
	buf := k.newBuffer()
	defer buf.release()
	var answer api.DeleteRangeResponse
	for began := time.Now(); ; {
		outcome, err := k.propose(c.Request.Context(), &kv.Delete{Range: span}, buf)
		if err != nil {
			if code := node.ClientCode(err); answer.Deleted == 0 || !code.NothingDone() {
				k.fail(c, err)
				return
			}
			break // without the error, which would hide what was deleted
		}
		var part deletedPart
		if err := json.Unmarshal(outcome.Result.JSON(), &part); err != nil {
			k.fail(c, err)
			return
		}
		answer.Deleted += part.Deleted
		answer.Revision = max(answer.Revision, outcome.Result.Revision)
		answer.More, answer.Next = part.More, part.Next
		if !part.More || time.Since(began) >= k.deleteTime {
			break
		}
		span.From = []byte(part.Next)
	}
	k.answerDeleted(c, answer)
}

func (k *keys) answerDeleted(c *gin.Context, answer api.DeleteRangeResponse) {
	body := strconv.AppendUint([]byte(`{"revision":`), answer.Revision, 10)
	body = strconv.AppendInt(append(body, `,"deleted":`...), int64(answer.Deleted), 10)
	if answer.More {
		body = jsontext.AppendText(append(body, `,"more":true,"next":`...), answer.Next)
	}
	k.answer(c.Writer, http.StatusOK, typeJSON, append(body, "}\n"...))
}

// rangeOf returns the range of a query. It refuses an empty prefix, which may be a variable that is not set.
func rangeOf(raw string) (*kv.Range, error) {
	values, err := url.ParseQuery(raw)
	switch {
	case err != nil:
		return nil, invalid("the query cannot be read: " + err.Error())
	case len(values) == 0:
		return nil, invalid("this route deletes a range: give prefix, or from and to; to delete one key, put it into " +
			"the path")
	case values.Has(api.ParamPrefix) && values.Get(api.ParamPrefix) == "":
		return nil, invalid("prefix is empty; to delete every key, give from= instead")
	}
	return &kv.Range{
		Prefix: []byte(values.Get(api.ParamPrefix)), From: []byte(values.Get(api.ParamFrom)),
		To: []byte(values.Get(api.ParamTo)),
	}, nil
}
