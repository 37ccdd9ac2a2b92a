// Package dashboard is the page that every node serves: the cluster at one glance, its log, its keys, and, under
// raftnode local, stories of how it survives failures. The page is written as ES modules and served as written;
// there is no build step, and no request leaves for anywhere but the cluster's own members.
//
// The page reads only the public API (GET /api/status, /api/v1/events, /api/logs, /api/v1/cluster and the routes
// for keys and commands), so it works against any node, with or without a quorum. DESIGN.md tells how it is made.
package dashboard
