package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
)

func (s *standIn) list(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit, _ := strconv.Atoi(r.FormValue(api.ParamLimit)) // 0 lists nothing
	page := api.ListPage{Revision: s.revision}
	for _, key := range slices.Sorted(maps.Keys(s.keys)) {
		if key < r.FormValue(api.ParamFrom) || len(page.Records) == limit {
			continue
		}
		value, _ := json.Marshal(string(s.keys[key].value))
		page.Records = append(page.Records, api.Record{
			Key: key, Value: value, Revision: s.keys[key].revision,
			RecordMeta: api.RecordMeta{Version: uint64(s.keys[key].version)},
		})
	}
	_ = json.NewEncoder(w).Encode(page) // the test checks what is missing
}

func TestListsFindALostKey(t *testing.T) {
	t.Parallel()
	server, address := newStandIn(t)
	c := driveStandIn(t, address, putBatch)
	sessions, closeAll, err := leanDriver([]string{address}).open(t.Context(), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	if err := c.account.verifyByList(t.Context(), sessions[0]); err != nil {
		t.Fatal(err)
	}
	total, err := sessions[0].list(t.Context(), 0, listKeys, nil)
	if err != nil || total != len(server.keys) {
		t.Errorf("a list counts %d keys, want %d; %v", total, len(server.keys), err)
	}
	lost := slices.Min(slices.Collect(maps.Keys(server.keys)))
	delete(server.keys, lost)
	err = c.account.verifyByList(t.Context(), sessions[0])
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%s: LOST", lost)) {
		t.Errorf("%s is gone, and the lists find %v", lost, err)
	}
}
