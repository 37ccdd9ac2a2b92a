package client_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

// From a missing route nothing follows about a key.
func TestNoSuchRouteIsNotNotFound(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != api.PathBatch && !strings.HasPrefix(r.URL.Path, api.PathKV) {
			return false
		}
		clienttest.Fail(w, &api.Error{Code: api.CodeNotFound, Message: "no such route"})
		return true
	})
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	_, put := c.Put(t.Context(), "k", nil)
	_, get := c.Get(t.Context(), "k")
	_, alone := c.Get(t.Context(), "k", client.MinRevision(1))
	for _, err := range []error{put, get, alone} {
		if e := wantCode(t, err, api.CodeNoRoute); !strings.Contains(e.Message, "no such route") {
			t.Errorf("got %v", err)
		}
	}
	cluster.Nodes[0].Intercept(nil)
	if _, err := c.Put(t.Context(), "another", nil); err != nil { // revision 1
		t.Fatal(err)
	}
	_, get = c.Get(t.Context(), "k")
	_, alone = c.Get(t.Context(), "k", client.MinRevision(1))
	for _, err := range []error{get, alone} {
		wantCode(t, err, api.CodeNotFound)
	}
}
