package rest

import (
	"net/http"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/api"
)

// Header values that many responses share. They are assigned to the header map directly, which saves the canonical
// spelling of the name and an allocation per header. They must not be changed.
var (
	typeJSON    = []string{"application/json"}
	typeNDJSON  = []string{"application/x-ndjson"}
	typeText    = []string{"text/plain; charset=utf-8"}
	typeEvents  = []string{"text/event-stream"}
	typeSQLite  = []string{"application/vnd.sqlite3"}
	noSniff     = []string{"nosniff"}
	sameOrigin  = []string{"same-origin"}
	noCache     = []string{"no-cache"}
	noStore     = []string{"no-store"}
	switchedOff = []string{"no"}
	// sandbox prevents a stored page from using this origin, which the dashboard shares (CVE-2020-25864).
	sandbox      = []string{"sandbox; default-src 'none'"}
	attachment   = []string{"attachment"}
	linearizable = []string{string(api.Linearizable)}
	lease        = []string{string(api.Lease)}
	stale        = []string{string(api.Stale)}
	notStale     = []string{"0"}
	retrySoon    = []string{"1"}
	closed       = []string{"close"}
)

// raftHeaders are the values of X-Raft-Term and X-Raft-Leader, cached until they change.
type raftHeaders struct {
	term      uint64
	leader    uint64
	termValue []string
	leadValue []string
}

// stamp sets the headers that every response carries, except the revision.
func (r *responder) stamp(h http.Header) {
	status := r.node.Status()
	now := r.headers.Load()
	if now == nil || now.term != status.CurrentTerm || now.leader != status.LeaderID {
		now = &raftHeaders{
			status.CurrentTerm, status.LeaderID,
			decimal(status.CurrentTerm), decimal(status.LeaderID),
		}
		r.headers.Store(now)
	}
	h[api.HeaderTerm] = now.termValue
	h[api.HeaderLeader] = now.leadValue
	h["X-Content-Type-Options"] = noSniff
	h["Cross-Origin-Resource-Policy"] = sameOrigin // does not affect CORS, which pages that may read use
}

// stampRevision sets X-Revision to the revision that this node has applied.
func (r *responder) stampRevision(h http.Header) { h[api.HeaderRevision] = decimal(r.node.Revision()) }

func decimal(n uint64) []string { return []string{strconv.FormatUint(n, 10)} }

// decimals returns each number as a header value of its own, and the first one also in quotes, as an ETag. They share
// two allocations.
func decimals(first uint64, more ...uint64) (etag []string, values [4][]string) {
	var buffer [96]byte
	var ends [4]int
	text := append(buffer[:0], '"')
	text = append(strconv.AppendUint(text, first, 10), '"')
	ends[0] = len(text)
	for i, n := range more {
		text = strconv.AppendUint(text, n, 10)
		ends[i+1] = len(text)
	}
	all := string(text)
	slots := make([]string, 0, 5)
	slots = append(slots, all[:ends[0]], all[1:ends[0]-1])
	etag, values[0] = slots[0:1:1], slots[1:2:2]
	for i := range more {
		slots = append(slots, all[ends[i]:ends[i+1]])
		values[i+1] = slots[i+2 : i+3 : i+3]
	}
	return etag, values
}
