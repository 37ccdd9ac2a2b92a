// Package divergence finds out whether a node's log is the damaged one when another member shows another log, and from
// which entry on. Others ask the members; the package has the decisions.
package divergence
