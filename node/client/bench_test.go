package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// BenchmarkPut shows what a put costs beside consensus: coalescing, codec and HTTP, with a server in the same
// process that does nothing but count lines. The parts of a run share its CPUs with that server.
func BenchmarkPut(b *testing.B) {
	var index, requests atomic.Uint64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(api.HeaderTerm, "1")
		w.Header().Set(api.HeaderLeader, "1")
		if r.URL.Path == api.PathCluster {
			_, _ = io.WriteString(w, `{"cluster_id":"x","node_id":1,"term":1,"leader_id":1}`)
			return
		}
		requests.Add(1)
		body, out := make([]byte, r.ContentLength), []byte(nil)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return
		}
		for _, c := range body {
			if c == '\n' {
				n := index.Add(1)
				out = strconv.AppendUint(append(out, `{"index":`...), n, 10)
				out = strconv.AppendUint(append(out, `,"term":1,"result":{"revision":`...), n, 10)
				out = append(out, `,"created":true}}`+"\n"...)
			}
		}
		_, _ = w.Write(out)
	}))
	defer server.Close()
	value := make([]byte, 256)
	for i := range value {
		value[i] = 'a' + byte(i%26)
	}
	for _, clients := range []int{1, 64, 256, 1000} {
		b.Run(strconv.Itoa(clients), func(b *testing.B) {
			c := connect(b, client.Config{Endpoints: []string{server.URL}})
			var left atomic.Int64
			left.Store(int64(b.N))
			before := requests.Load()
			b.ReportAllocs()
			var wg sync.WaitGroup
			for i := range clients {
				wg.Go(func() {
					key := "bench/" + strconv.Itoa(i)
					for left.Add(-1) >= 0 {
						if _, err := c.Put(b.Context(), key, value); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/float64(requests.Load()-before), "puts/request")
		})
	}
}
