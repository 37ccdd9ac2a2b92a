package main

import (
	"errors"
	"io"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/rest"
)

// chaosState is the response of GET /api/v1/chaos.
type chaosState struct {
	Nodes     []chaosNode     `json:"nodes"`
	Partition [][]raft.NodeID `json:"partition"` // null: no partition
}

type chaosNode struct {
	ID    raft.NodeID `json:"id"`
	State seatState   `json:"state"`
}

// chaosOrder is the body of the POST routes.
type chaosOrder struct {
	Node   raft.NodeID     `json:"node"`
	Groups [][]raft.NodeID `json:"groups"`
}

// routes are the chaos routes of one node. Only `raftnode local` has them.
func (l *localCluster) routes(self raft.NodeID) func(gin.IRouter) {
	return func(router gin.IRouter) {
		chaos := router.Group("/api/v1/chaos")
		chaos.GET("", l.getState)
		chaos.POST("/stop", l.silence(self, l.stop, stateStopped))
		chaos.POST("/pause", l.silence(self, l.pause, statePaused))
		chaos.POST("/start", l.order(func(o chaosOrder) error { return l.start(o.Node) }))
		chaos.POST("/resume", l.order(func(o chaosOrder) error { return l.resume(o.Node) }))
		chaos.POST("/partition", l.order(func(o chaosOrder) error { return l.split(o.Groups) }))
		chaos.POST("/heal", l.order(func(chaosOrder) error { return l.split(nil) }))
	}
}

func (l *localCluster) getState(c *gin.Context) { c.JSON(http.StatusOK, l.state()) }

func (l *localCluster) state() chaosState {
	state := chaosState{}
	for i, s := range l.states() {
		state.Nodes = append(state.Nodes, chaosNode{ID: raft.NodeID(i + 1), State: s})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	state.Partition = l.partition
	return state
}

// maxOrderBytes bounds the body of an order.
const maxOrderBytes = 4 << 10

// order executes the order in the body and responds with the state after it.
func (l *localCluster) order(do func(chaosOrder) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		o, ok := readOrder(c)
		if !ok {
			return
		}
		err := do(o)
		switch {
		case errors.Is(err, errNoSuchNode):
			refuse(c, err.Error())
		case err != nil:
			l.log.Error("chaos: the order failed", "error", err)
			c.JSON(http.StatusInternalServerError, gin.H{"error": gin.H{"code": client.CodeInternal, "message": err.Error()}})
		default:
			c.JSON(http.StatusOK, l.state())
		}
	}
}

// silence stops or pauses a node. If that node serves this request, the response is sent first: it could not be sent
// afterwards.
func (l *localCluster) silence(self raft.NodeID, do func(raft.NodeID) error, after seatState) gin.HandlerFunc {
	others := l.order(func(o chaosOrder) error { return do(o.Node) })
	return func(c *gin.Context) {
		o, ok := readOrder(c)
		if !ok {
			return
		}
		c.Set(orderKey, o)
		if o.Node != self {
			others(c)
			return
		}
		state := l.state()
		state.Nodes[self-1].State = after
		c.Header("Connection", "close")
		c.JSON(http.StatusOK, state)
		c.Writer.Flush()
		answered := c.Request.Context().Done() // gin uses c again for the next request
		go func() {
			<-answered // the response was sent and its connection closed
			if err := do(self); err != nil {
				l.log.Error("chaos: the order failed", "error", err)
			}
		}()
	}
}

// orderKey is the context key of an order that was parsed already.
const orderKey = "order"

func readOrder(c *gin.Context) (chaosOrder, bool) {
	if o, ok := c.Get(orderKey); ok {
		return o.(chaosOrder), true
	}
	var o chaosOrder
	if c.Request.ContentLength == 0 {
		return o, true
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxOrderBytes))
	if err == nil {
		err = rest.ReadJSON(body, &o)
	}
	if err != nil {
		refuse(c, `the body should be JSON like {"node":1} or {"groups":[[1,2],[3,4,5]]}: `+err.Error())
		return o, false
	}
	return o, true
}

func refuse(c *gin.Context, message string) {
	c.JSON(http.StatusBadRequest, gin.H{"error": gin.H{"code": client.CodeInvalid, "message": message}})
}
