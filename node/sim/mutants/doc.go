// Package mutants holds planted bugs: each file in planted puts one known way to break Raft back into the
// production code, and the simulator must find it. Those of the operator are in controllers/planted, and its tests must
// find them. A mutant is laid over the source when it is built
// (go build -overlay), so nothing of it is in a release, nor in the code that people read.
//
// A mutant that no longer applies, does not compile, or is not caught fails `make mutants`: a hole in the checkers, or
// a mutant that was left behind.
package mutants
