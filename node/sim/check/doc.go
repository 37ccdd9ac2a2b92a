// Package check holds the invariants of a simulated cluster, one to a file. Checkers see the cluster through View and
// Node only, after every step and as each message leaves its sender; JudgeHistory compares the answers that clients got
// with what was committed.
package check
