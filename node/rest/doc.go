// Package rest is the HTTP server of the API port: it maps requests to calls of a node, and outcomes to responses. The
// types, names, limits and error codes are in node/api, which is the contract; the comment of each handler lists what
// it accepts and the statuses that it returns.
//
//	GET    /api/status                    all nodes as this one observes them
//	GET    /api/logs?from=&limit=         the replicated log; by default its last 100 entries, at most 1000
//	POST   /api/command                   one command: set, put, get, delete, incr, cas, txn
//	PUT    /api/v1/kv/{key}               raw body; If-Match: "42" or If-None-Match: *
//	GET    /api/v1/kv/{key}               raw value, or the record for Accept: application/json; ?revision=N
//	GET    /api/v1/kv/{key}?history       its versions, the newest first; &before=&limit=
//	GET    /api/v1/kv?prefix=&from=&to=   a page of keys, or application/x-ndjson: all of them; &delimiter=&keys_only
//	GET    /api/v1/kv?prefix=&count       how many keys
//	DELETE /api/v1/kv/{key}               If-Match: "42"
//	DELETE /api/v1/kv?prefix=&from=&to=   deletes the keys of a range
//	POST   /api/v1/txn                    comparisons, and operations that are carried out if they hold, and if not
//	POST   /api/v1/compact                {"revision":N}: discards the history before a revision
//	POST   /api/v1/batch?consistency=     application/x-ndjson: a command per line, a result per line
//	GET    /api/v1/backup                 the state as one SQLite file; Range with If-Range continues it
//	GET    /api/v1/cluster                this node's view, without a request to another
//	POST   /api/v1/cluster/bootstrap      sets the identity of an empty node (raftnode serve --join)
//	POST   /api/v1/leader/transfer        {"to":2,"expected_term":7}, or an empty body: to the best follower
//	GET    /api/v1/members                the configuration, and the progress of learners; ?consistency=stale
//	POST   /api/v1/members                {"address":"http://h4:7080"}: adds a learner, which is promoted by itself
//	POST   /api/v1/members/{id}/promote   makes a learner a voter; {"expected_config_index":N}, or an empty body
//	PUT    /api/v1/members/{id}           {"address","api_address"}: replaces the addresses of a member
//	DELETE /api/v1/members/{id}           removes a member; ?expected_config_index=N&force
//	POST   /api/v1/members/change         {"add":[],"promote":[],"update":[],"remove":[]}: all in one step
//	GET    /api/v1/events?since=          text/event-stream of raft events and of the status
//	GET    /livez /readyz /startupz       text for probes; ?verbose lists the checks
//	GET    /metrics                       Prometheus
//	GET    / and /ui/...                  the dashboard
//
// A key is percent-encoded in the path and arrives unchanged: slashes, dots, doubled slashes and any UTF-8. Any node
// accepts any request.
//
// Every response carries X-Raft-Term, X-Raft-Leader and X-Revision. If a request of /api/v1/kv/{key} succeeds,
// X-Revision is the revision that changed the key last, the same as in the ETag (0 after a delete of an absent key). In
// the response to a transaction it is the transaction's; in every other response it is the revision that this node has
// applied.
//
// A read of a key is linearizable, except with ?consistency=stale, which reads what this node has applied, and fails
// with 503 not_ready if the node is no member or has not loaded its log. With ?consistency=lease the lease of the
// leader may confirm a read, which depends on the clocks of the members. X-Consistency reports which consistency the
// read had, and X-Staleness-Ms how old the state may be that it returned. With ?max_stale=2s a stale read returns a
// value that was current at most that long ago; a node that cannot guarantee that refuses it with 503 not_ready. With
// ?min_revision=N any read first waits until this node has applied N, up to the node's request timeout, then fails
// with 503 not_ready.
//
// A query parameter or a condition (If-Match, If-Lock, Idempotency-Key and the like) that a route does not support is
// refused with 400, and so is one that is given twice. Probes, metrics and the dashboard ignore what they do not
// support.
//
// An error is {"error":{"code","message",...}} with the status of its code, never in a 200; only each line of a batch
// has an error of its own.
package rest
