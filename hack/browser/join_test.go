package browser

import (
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
)

// A node on Kubernetes starts empty, the browser, which uses a port-forward, cannot resolve its names, and
// they end with a dot.
func TestThePageOfANodeThatIsBootstrappedLater(t *testing.T) {
	chromium(t)
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	c := &realCluster{port: freePorts(t, 2)}
	const name = "http://demo-0.demo-peers.demo.svc.cluster.local."
	member := api.ConfigMember{
		ID: 1, Address: name + ":7080", APIAddress: fmt.Sprintf("%s:%d", name, c.port), Role: api.RoleVoter,
	}
	run(t, exec.Command(binary, "serve", "--join", "--data-dir", t.TempDir()+"/node",
		"--listen-api", "127.0.0.1:"+strconv.Itoa(c.port), "--listen-peer", "127.0.0.1:"+strconv.Itoa(c.port+1),
		"--advertise-peer", member.Address, "--advertise-api", member.APIAddress))
	awaitListener(t, c.origin(1))

	p := openTab(t, wide, c.origin(1)+"/")
	p.sees("This node belongs to no cluster yet")
	c.ask(t, http.MethodPost, c.origin(1)+api.PathBootstrap, api.BootstrapRequest{
		ClusterID: "minted", NodeID: 1, Members: []api.ConfigMember{member},
	}, nil)
	const leads = `/Node 1 leads term \d+/.test(document.querySelector('.verdict').innerText)`
	p.until("the same page shows the cluster", leads)
	p.eval(`location.reload()`, nil)
	p.until("a policy that names the member, without an error of the browser",
		`document.querySelector('meta[name="members"]').content === '`+member.APIAddress+`'`)
	p.until("it does after a reload", leads)
	p.fill("key", "color")
	p.fill("value", "blue")
	p.click("Run")
	p.until("the answer", `/"created":true/.test(document.querySelector('.answer-ok')?.innerText)`)
}
