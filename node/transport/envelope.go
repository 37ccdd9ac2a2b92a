package transport

import (
	"net/http"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// Headers of every request between nodes (trap H3).
const (
	headerCluster  = "X-Kontiki-Cluster"
	headerFrom     = "X-Kontiki-From"
	headerTo       = "X-Kontiki-To"
	headerProtocol = "X-Kontiki-Protocol"
	headerFounders = "X-Kontiki-Founders" // once the cluster of the sender is founded
)

// protocolVersion is the version of the wire format. It changes when a node could misread another.
const protocolVersion = "1"

// identify returns the headers of every request from one node to another.
func identify(clusterID string, from, to raft.NodeID) http.Header {
	return http.Header{
		headerCluster:  {clusterID},
		headerFrom:     {strconv.FormatUint(uint64(from), 10)},
		headerTo:       {strconv.FormatUint(uint64(to), 10)},
		headerProtocol: {protocolVersion},
		"Content-Type": {"application/json"},
		"User-Agent":   {"kontiki"},
	}
}

// identified checks the headers of a request, and returns the peer that sent it.
func (t *Transport) identified(r *http.Request) (raft.NodeID, *refusal) {
	from, isPeer, no := t.sender(r)
	if no == nil && !isPeer {
		no = noPeer(r.Header.Get(headerFrom), t.who.Load())
	}
	return from, no
}

// sender checks the headers of a request for Raft itself, and returns the node that sent it, and whether that is a
// peer. A node that is none may be a member by entries which this node does not have yet, or have been one: the core
// judges it. Nothing is remembered of it.
func (t *Transport) sender(r *http.Request) (id raft.NodeID, isPeer bool, no *refusal) {
	from, err := strconv.ParseUint(r.Header.Get(headerFrom), 10, 64)
	if err == nil && t.isBlocked(raft.NodeID(from)) {
		panic(http.ErrAbortHandler)
	}
	if no := matches(r, headerProtocol, protocolVersion, api.CodeProtocolMismatch); no != nil {
		return 0, false, no
	}
	who := t.who.Load()
	if who == none {
		return 0, false, refuse(api.CodeNoIdentity, "this node has no identity yet")
	}
	if no := who.checkCluster(r); no != nil {
		return 0, false, no
	}
	if no := matches(r, headerTo, strconv.FormatUint(uint64(who.id), 10), api.CodeTargetMismatch); no != nil {
		return 0, false, no
	}
	id = raft.NodeID(from)
	p, isPeer := who.peers[id]
	switch {
	case err != nil || id == 0 || id == who.id:
		return 0, false, noPeer(r.Header.Get(headerFrom), who)
	case isPeer:
		budget.FromMember(r.Context(), from)
		p.where.calledFrom(r.RemoteAddr)
	}
	return id, isPeer, nil
}

// noPeer refuses a request of a node that is not another member.
func noPeer(from string, who *membership) *refusal {
	return refuse(api.CodeUnknownSender, "%s is %.100q, which is not another member of cluster %q", headerFrom, from,
		who.clusterID)
}

func matches(r *http.Request, header, expected string, code api.Code) *refusal {
	if got := r.Header.Get(header); got != expected {
		return refuse(code, "%s is %q, but this node expects %q", header, got, expected)
	}
	return nil
}

// checkCluster refuses a request for another cluster than this node's.
func (who *membership) checkCluster(r *http.Request) *refusal {
	no := matches(r, headerCluster, who.clusterID, api.CodeClusterMismatch)
	if no != nil {
		no.members = who.founding
	}
	return no
}

// checkFounders refuses a request of a node whose cluster was founded by other disks. It has the same id if a member
// that founded it alone lost its disk and was started with the same flags: that disk must not vote here (trap T28).
func (who *membership) checkFounders(r *http.Request) *refusal {
	theirs := r.Header.Get(headerFounders)
	if theirs == "" || who.founders == "" || theirs == who.founders {
		return nil
	}
	return refuse(api.CodeClusterMismatch, "%s is %.100q, but other disks founded the cluster of this node: %q; one of "+
		"the two lost its disk, and must be replaced", headerFounders, theirs, who.founders)
}

// fromPeer reports whether a request has any header of a peer's.
func fromPeer(r *http.Request) bool {
	for _, name := range []string{headerCluster, headerFrom, headerTo, headerProtocol} {
		if r.Header.Get(name) != "" {
			return true
		}
	}
	return false
}

// ofPeer marks a refusal or a status as the answer of a peer port, and makes browsers keep it from the pages of
// other origins. Raft's own answers do without, for there are thousands a second and no page receives one.
func ofPeer(w http.ResponseWriter) {
	w.Header()[headerProtocol] = []string{protocolVersion}
	w.Header()["X-Content-Type-Options"] = []string{"nosniff"}
	w.Header()["Cross-Origin-Resource-Policy"] = []string{"same-origin"}
}

// isMarked reports whether an answer is marked as that of a peer port.
func isMarked(h http.Header) bool { return h.Get(headerProtocol) != "" }
