// Package scenario parses and plays scenario files: what happens to a simulated cluster, line by line, and what must
// come of it. The files of this repository are in node/sim/scenarios.
package scenario
