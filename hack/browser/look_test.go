package browser

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// TestScreenshots takes screenshots for people, if SCREENSHOTS names a directory for them.
func TestScreenshots(t *testing.T) {
	directory := os.Getenv("SCREENSHOTS")
	if directory == "" {
		t.Skip("set SCREENSHOTS to a directory to save screenshots")
	}
	sizes := map[string]window{
		"wide": wide, "wide_dark": {width: 1440, height: 900, dark: true}, "middle": {width: 900, height: 1000},
		"narrow": {width: 360, height: 760}, "narrow_dark": {width: 360, height: 760, dark: true},
	}
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			c := startFake(t, 5)
			c.cluster.Capabilities = []string{"chaos"}
			c.put("cfg/a", "{\n  \"answer\": 42\n}", 36)
			p := openTab(t, size, c.server.URL+"/")
			shot := func(view string) { p.picture(filepath.Join(directory, name+"_"+view+".png"), false) }
			p.until("the verdict", `document.title.startsWith('Healthy')`)
			p.until("the log", `document.querySelector('.log-table .key')`)
			p.click("Run")
			p.until("an answer", `document.querySelector('.answer-ok')`)
			shot("overview")
			p.eval(`location.hash = '#/log'`, nil)
			p.sees("Following the end")
			shot("log")
			p.eval(`location.hash = '#/keys?key=cfg%2Fa'`, nil)
			p.sees("revision 36")
			shot("keys")
			p.eval(`location.hash = '#/scenarios'`, nil)
			p.sees("Partition a minority")
			shot("scenarios")
			p.eval(`location.hash = '#/overview?node=2'`, nil)
			p.sees("Its followers")
			shot("drawer")
			p.eval(`location.hash = '#/overview'`, nil)
			c.alter(func(s *api.ClusterStatus) {
				s.Nodes[3].Latency.Fsync.P99, s.Nodes[3].Disk.Slow = 112, true
				s.Health.State = api.Degraded
				lose(s, 5)
			})
			p.sees("Degraded.")
			shot("degraded")
			c.alter(func(s *api.ClusterStatus) { lose(s, 2, 4) })
			p.sees("No quorum.")
			shot("noquorum")
			c.server.CloseClientConnections()
			c.server.Close()
			p.sees("No member answers.")
			shot("lost")
		})
	}
}

// TestScreenshotsOfARealCluster takes screenshots of a real cluster under load, and of a running scenario.
func TestScreenshotsOfARealCluster(t *testing.T) {
	directory := os.Getenv("SCREENSHOTS")
	if directory == "" {
		t.Skip("set SCREENSHOTS to a directory to save screenshots")
	}
	c := startReal(t)
	p := c.open(t, 1)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() { // some load for the page
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				c.write(t, 2+i%2, i)
			}
		}
	}()
	p.until("about a minute of samples", `document.querySelector('.spark-line')?.getAttribute('d').split('L').length > 40`)
	p.click("Run")
	p.until("an answer", `document.querySelector('.answer-ok')`)
	p.picture(filepath.Join(directory, "real_overview.png"), false)
	if err := p.resize(window{width: 1440, height: 900, dark: true}); err != nil {
		t.Fatal(err)
	}
	p.picture(filepath.Join(directory, "real_overview_dark.png"), false)
	close(stop)
	<-done
	p.eval(`location.hash = '#/scenarios'`, nil)
	p.click("Play: Kill the leader")
	p.until("an election replayed", `document.querySelector('.votes')`)
	p.eval(`new Promise((resolve) => setTimeout(resolve, 500))`, nil) // half-way through the replay
	p.picture(filepath.Join(directory, "real_election.png"), false)
	p.click("Leave and restore the cluster")
	p.until("the cluster is whole", whole)
	p.click("Leader in the minority: Partition a minority")
	p.until("the write at the smaller side",
		`document.querySelector('.scenario-count').innerText.includes('step 5') && document.querySelector('.result-done')`)
	p.picture(filepath.Join(directory, "real_partition.png"), false)
}

// write puts one value; its outcome does not matter here.
func (c *realCluster) write(t *testing.T, id, i int) {
	t.Helper()
	address := fmt.Sprintf("%s/api/v1/kv/sensors%%2F%d", c.origin(id), i%40)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, address,
		strings.NewReader(fmt.Sprintf("%d.%d", 20+i%5, i%10)))
	if err != nil {
		return
	}
	if response, err := http.DefaultClient.Do(request); err == nil {
		_ = response.Body.Close()
	}
}
