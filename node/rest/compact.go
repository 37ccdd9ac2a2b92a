package rest

import (
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/kv"
)

const maxCompactBytes = 4 << 10

// postCompact is POST /api/v1/compact: {"revision":42}. From then on no revision before it can be read, and versions
// that only such reads see are removed little by little. 200 api.CompactResponse; 400 if the revision is in the future,
// 429, 503, 504. It may be repeated.
func (k *keys) postCompact(c *gin.Context) {
	buf := k.newBuffer()
	defer buf.release()
	var request api.CompactRequest
	err := buf.read(c.Request, maxCompactBytes)
	if err == nil {
		if reason := ReadJSON(buf.b, &request); reason != nil || request.Revision == 0 {
			err = invalid(`the body must be {"revision":N}, with the oldest revision to keep, like {"revision":42}`)
		}
	}
	if err != nil {
		k.fail(c, err)
		return
	}
	outcome, err := k.propose(c.Request.Context(), &kv.Compact{Revision: request.Revision}, buf)
	if err != nil {
		k.fail(c, err)
		return
	}
	body := strconv.AppendUint([]byte(`{"revision":`), outcome.Result.Revision, 10)
	k.answer(c.Writer, http.StatusOK, typeJSON, append(body, "}\n"...))
}
