package browser

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
)

// TestScreenshots takes the pictures that a person should look at, if SCREENSHOTS names a directory for them.
func TestScreenshots(t *testing.T) {
	directory := os.Getenv("SCREENSHOTS")
	if directory == "" {
		t.Skip("set SCREENSHOTS to a directory to take pictures")
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
			p.eval(`location.hash = '#/stories'`, nil)
			p.sees("Cut off a minority")
			shot("stories")
			p.eval(`location.hash = '#/overview?node=2'`, nil)
			p.sees("How it sees its followers")
			shot("drawer")
			p.eval(`location.hash = '#/overview'`, nil)
			c.alter(func(s *node.ClusterStatus) {
				s.Nodes[3].Latency.Fsync.P99 = 112
				s.Health.State = node.Degraded
				lose(s, 5)
			})
			p.sees("Degraded.")
			shot("degraded")
			c.alter(func(s *node.ClusterStatus) { lose(s, 2, 4) })
			p.sees("No quorum.")
			shot("noquorum")
			c.server.CloseClientConnections()
			c.server.Close()
			p.sees("No member answers.")
			shot("lost")
		})
	}
}
