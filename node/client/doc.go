// Package client is the Go client of a Kontiki cluster. What it sends and returns has the types of node/api, the
// contract of the API port.
package client
