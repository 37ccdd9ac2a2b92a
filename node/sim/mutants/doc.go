// Package mutants holds planted bugs: each file in planted puts one known way to break Raft back into the production
// code, and the simulator must find it. Those of the operator are in controllers/planted, and its tests must find them;
// those of the membership are in node/raft/planted, and the tests of node/raft must find them.
// A mutant is an overlay of the source in the build (go build -overlay), so nothing of it is in a release, nor in the
// source.
//
// A mutant that no longer applies, does not compile, or is not caught fails `make mutants`: the checkers have a hole,
// or the mutant does not fit the source any more.
package mutants
