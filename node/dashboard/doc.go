// Package dashboard serves the web page of every node: the cluster at a glance, its log, its keys, and, under raftnode
// local, scenarios of failures. The page is written as ES modules and served as written; there is no build step, and
// the page sends requests only to the cluster's own members.
//
// The page reads only the public API (GET /api/status, /api/v1/events, /api/logs, /api/v1/cluster and the routes for
// keys and commands), so it works with any node, with or without a quorum. DESIGN.md has the design decisions.
package dashboard
