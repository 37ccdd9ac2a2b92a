package rest

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

const (
	// logStretch is how many entries are read from the disk at a time, and logPageBytes where a page ends even
	// if more were asked for: entries of the greatest size must not fill the memory.
	logStretch   = 50
	logPageBytes = 8 << 20
)

// getLogs is GET /api/logs?from=&limit=: the replicated log, as this node's disk has it. 200 client.LogPage; 400,
// 503. The entries are the bytes that were proposed; what is not JSON is shown as a string.
func (s *Server) getLogs(c *gin.Context) {
	query := c.Request.URL.Query()
	limit, err := countParam(query, "limit", client.DefaultLogEntries)
	if err != nil {
		s.fail(c, err)
		return
	}
	limit = min(max(limit, 1), client.MaxLogEntries)
	last := uint64(s.node.Status().LastLogIndex)
	end := max(last, limit) - limit + 1 // the beginning of the last page
	from, err := countParam(query, "from", end)
	if err != nil {
		s.fail(c, err)
		return
	}
	body, err := s.logPage(c, raft.Index(max(from, 1)), int(limit))
	if err != nil {
		s.fail(c, err)
		return
	}
	s.answer(c.Writer, http.StatusOK, typeJSON, body)
}

func (s *Server) logPage(c *gin.Context, from raft.Index, limit int) ([]byte, error) {
	var page node.LogPage
	var entries []byte
	for limit > 0 && len(entries) < logPageBytes {
		stretch := min(limit, logStretch)
		var err error
		if page, err = s.node.Log(c.Request.Context(), from, stretch); err != nil {
			return nil, err
		}
		for _, entry := range page.Entries {
			if kv.CheckEntry(entry.Command) != nil { // of an old log: the page must be JSON all the same
				entry.Command = appendString(nil, entry.Command)
			}
			entries = entry.AppendJSON(append(entries, ','))
			from = entry.Index + 1
		}
		if len(page.Entries) < stretch {
			break
		}
		limit -= stretch
	}
	body := make([]byte, 0, len(entries)+128)
	body = strconv.AppendUint(append(body, `{"first_index":`...), uint64(page.FirstIndex), 10)
	body = strconv.AppendUint(append(body, `,"last_index":`...), uint64(page.LastIndex), 10)
	body = strconv.AppendUint(append(body, `,"commit_index":`...), uint64(page.CommitIndex), 10)
	body = append(body, `,"entries":[`...)
	if len(entries) > 0 {
		body = append(body, entries[1:]...)
	}
	return append(body, "]}\n"...), nil
}

// countParam reads a parameter that is a whole number; absent, it is the default.
func countParam(query url.Values, name string, absent uint64) (uint64, error) {
	text := query.Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, invalid(name + " must be a whole number like 100; it is " + clip(text))
	}
	return n, nil
}
