package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// FuzzOrder sends any body to the routes that partition a local cluster. Either it is invalid and nothing changes, or
// the response has the requested partition, with no node twice.
func FuzzOrder(f *testing.F) {
	for _, body := range []string{
		``, `{}`, `{"groups":[[1,2],[3]]}`, `{"groups":[[1],[1]]}`, `{"groups":[[0]]}`, `{"groups":[null,[]]}`, `[]`,
		`{"groups":[[18446744073709551615]]}`, `{"groups":[[18446744073709551616]]}`, `{"node":1,"groups":[[2]]} x`,
		`{"GROUPS":[[3]]}`,
	} {
		f.Add([]byte(body), false)
		f.Add([]byte(body), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, heal bool) {
		l := newLocalCluster(slog.New(slog.DiscardHandler), nil)
		for id := raft.NodeID(1); id <= 3; id++ {
			l.members = append(l.members, node.Member{ID: id})
			l.seats = append(l.seats, &seat{config: memberConfig{id: id}}) // stopped: the test starts no node
		}
		engine := gin.New()
		l.routes(1)(engine)
		path := "/api/v1/chaos/partition"
		if heal {
			path = "/api/v1/chaos/heal"
		}
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body)))
		if w.Code != http.StatusOK {
			var e client.ErrorBody
			err := json.Unmarshal(w.Body.Bytes(), &e)
			if err != nil || e.Error == nil || e.Error.Code != client.CodeInvalid || w.Code != http.StatusBadRequest {
				t.Fatalf("%q is answered with %d %s", body, w.Code, w.Body)
			}
			if l.partition != nil {
				t.Fatalf("%q was refused, and made the partition %v", body, l.partition)
			}
			return
		}
		var state chaosState
		if err := json.Unmarshal(w.Body.Bytes(), &state); err != nil || len(state.Nodes) != 3 {
			t.Fatalf("%q is answered with %s, %v", body, w.Body, err)
		}
		seen := map[raft.NodeID]bool{}
		for _, group := range state.Partition {
			for _, id := range group {
				if heal || seen[id] || id < 1 || id > 3 {
					t.Fatalf("%q made the partition %v", body, state.Partition)
				}
				seen[id] = true
			}
		}
	})
}
