// Package rest is the HTTP server of the API port: it turns requests into calls of a node, and outcomes into
// answers. The shapes, names, limits and error codes are in node/api, which is the contract; each handler says
// what it takes and which statuses it gives.
//
//	GET    /api/status                    all nodes as this one sees them
//	GET    /api/logs?from=&limit=         the replicated log; by default its last 100 entries, at most 1000
//	POST   /api/command                   one command: set, put, get, delete, incr, cas
//	PUT    /api/v1/kv/{key}               raw body; If-Match: "42" or If-None-Match: *
//	GET    /api/v1/kv/{key}               raw value, or the record for Accept: application/json
//	DELETE /api/v1/kv/{key}               If-Match: "42"
//	POST   /api/v1/batch?consistency=     application/x-ndjson: a command per line, a result per line
//	GET    /api/v1/cluster                what this node thinks, without asking another
//	POST   /api/v1/cluster/bootstrap      gives an empty node (raftnode serve --join) its identity
//	POST   /api/v1/leader/transfer        {"to":2,"expected_term":7}, or nothing: to the best follower
//	GET    /api/v1/events?since=          text/event-stream of raft events and of the status
//	GET    /livez /readyz /startupz       text for probes; ?verbose lists the checks
//	GET    /metrics                       Prometheus
//	GET    / and /ui/...                  the dashboard
//
// A key is percent-encoded in the path and arrives as it is: slashes, dots, doubled slashes and any UTF-8. Any
// node takes any request.
//
// Every answer carries X-Raft-Term and X-Raft-Leader, and X-Revision: where /api/v1/kv/{key} succeeds it is the
// revision that changed the key last, the same as in the ETag (0 after a delete that found nothing); on every
// other answer it is the revision that this node has applied.
//
// A read of a key is linearizable unless ?consistency=stale says otherwise, which answers from what this node
// has applied, with 503 not_ready if it is no member or has not loaded its log; X-Consistency tells what the read
// really was. With ?max_stale=2s a stale read returns a value that was current no longer ago than that; a node that
// cannot be sure refuses it with 503 not_ready. With ?min_revision=N any read first waits until this node has applied
// N, for as long as the node lets requests take, then 503 not_ready.
//
// A query parameter or a condition (If-Match, If-Lock, Idempotency-Key and the like) that a route does not take is
// refused with 400, and so is one that comes twice. Probes, metrics and the dashboard ignore what they do not take.
//
// An error is {"error":{"code","message",...}} with the status of its code, never in a 200; only each line of
// a batch has an error of its own.
package rest
