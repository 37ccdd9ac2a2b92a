package client

import (
	"context"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// Batch runs commands that do not depend on each other, many per request, and returns their results in their order.
// Each succeeds or fails by itself, by its Error; what surely was not done is sent again until the deadline, and may
// then come after a later one. An error means that nothing was sent, because a command is malformed.
func (c *Client) Batch(ctx context.Context, commands []api.Command) ([]api.BatchResult, error) {
	requests := make([]request, len(commands))
	todo := make([]int, len(commands))
	for i := range commands {
		requests[i].Command = commands[i]
		if err := requests[i].prepare(); err != nil {
			return nil, err
		}
		todo[i] = i
	}
	ctx, deadline, cancel := c.limit(ctx)
	defer cancel()
	results := make([]api.BatchResult, len(commands))
	for attempt := 0; len(todo) > 0; attempt++ {
		began := time.Now()
		for rest := todo; len(rest) > 0; {
			piece := rest[:pieceOf(requests, rest)]
			rest = rest[len(piece):]
			c.runPiece(ctx, requests, piece, results)
		}
		var last *api.Error
		todo, last = unfinished(requests, results, todo)
		if last != nil && !c.pause(ctx, deadline, time.Since(began), last, attempt) {
			break
		}
	}
	for i := range results {
		if results[i].Error != nil {
			results[i].Error = settled(ctx, results[i].Error, requests[i].isRead())
		}
	}
	return results, nil
}

// pieceOf returns how many of the requests that are to do fit into one HTTP request: at least one.
func pieceOf(requests []request, todo []int) int {
	n, bytes := 0, 0
	for n < len(todo) && n < maxBatchLines && (n == 0 || bytes < maxBatchBytes) {
		r := &requests[todo[n]].Command
		bytes += len(r.Key) + len(r.Value) + len(r.JSON) + len(r.Expected)
		n++
	}
	return n
}

// runPiece sends some of the requests as one call, and puts their results in their places.
func (c *Client) runPiece(ctx context.Context, requests []request, piece []int, results []api.BatchResult) {
	k := c.newCall()
	k.lines, k.answers = make([]request, len(piece)), make([]answer, len(piece))
	k.raw, k.read = true, true
	for j, i := range piece {
		k.lines[j] = requests[i]
		k.read = k.read && requests[i].isRead()
	}
	if err := c.do(ctx, c.writes, k); err != nil {
		for _, i := range piece {
			results[i] = api.BatchResult{Error: err}
		}
		return
	}
	for j, i := range piece {
		a := &k.answers[j]
		if a.err != nil {
			results[i] = api.BatchResult{Error: a.err}
		} else {
			results[i] = api.BatchResult{CommandResponse: a.response(k.lines[j].Op)}
		}
	}
	k.free()
}

// unfinished returns those that may be sent again, and an error of one of them.
func unfinished(requests []request, results []api.BatchResult, todo []int) ([]int, *api.Error) {
	var again []int
	var last *api.Error
	for _, i := range todo {
		err := results[i].Error
		if err == nil || !mayRepeat(err, requests[i].isRead()) {
			continue
		}
		again = append(again, i)
		if last == nil || err.RetryAfter > last.RetryAfter {
			last = err
		}
	}
	return again, last
}
