// Package api is the contract of a node's API port: its paths, headers and parameters, what goes over it as JSON, and
// its error codes. The server (node/rest) and the Go client (node/client) both use it. A Go program that uses the
// client finds the types of what it sends and gets here.
//
// The codes of the peer port are here, too, because each code has one HTTP status on both.
package api
