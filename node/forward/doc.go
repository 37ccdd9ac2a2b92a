// Package forward carries what a node has for the leader of its cluster: proposals, many in one request, and questions
// for a read index, many callers with one. Each leader has a lane of its own, so what waits for a new one does not
// stand behind what an old one, stopped or cut off, has not answered.
package forward
