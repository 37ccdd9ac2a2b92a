package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
)

// The tests in this file run against a real raftnode local.

// ask sends a request to a node of the cluster, and fails the test if the node does not answer it with success.
func (c *realCluster) ask(t *testing.T, method, address string, body, into any) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", method, address, response.Status)
	}
	if into != nil {
		if err := json.NewDecoder(response.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *realCluster) leader(t *testing.T) int {
	t.Helper()
	var status api.ClusterStatus
	c.ask(t, http.MethodGet, c.origin(1)+"/api/status", nil, &status)
	return int(status.LeaderID)
}

// open opens the page of a node, which may use all nodes.
func (c *realCluster) open(t *testing.T, id int) *tab {
	t.Helper()
	p := openTab(t, wide, c.origin(id)+"/", c.origins()...)
	p.until("a leader and every voter", whole)
	// A node without earlier requests does not have the others' API addresses yet: the page may load twice.
	p.until("every member may be asked", `document.querySelector('meta[name="members"]').content.split(' ').length === 5`)
	p.until("a leader and every voter", whole)
	return p
}

// whole holds if all five voters answer and one of them leads. The word Healthy requires more: a busy machine has
// slow disks.
const whole = `/Node \d leads term \d+.*5 of 5 voters answer/.test(document.querySelector('.verdict').innerText)`

func TestLoadElectAndRunACommand(t *testing.T) {
	p := startReal(t).open(t, 1)
	p.until("an election in words",
		`/node \d elected in \d+ ms, term \d+, votes \d \d \d/.test(document.querySelector('.events').innerText)`)
	p.fill("key", "color")
	p.fill("value", "blue")
	p.click("Run")
	p.until("the answer with index and term",
		`/"created":true.*index \d+, term \d+/.test(document.querySelector('.answer-ok')?.innerText)`)
	p.until("the command in the log",
		`[...document.querySelectorAll('.log-table .command')].some((c) => c.innerText === 'set color = "blue"')`)
	p.until("every node has it", `document.querySelector('.entry').querySelectorAll('.has-yes').length === 5`)
}

func TestStopTheLeaderAndSeeTheNewOne(t *testing.T) {
	c := startReal(t)
	p := c.open(t, 1)
	old := c.leader(t)
	p.eval(`(() => {
		window.replays = 0;
		new MutationObserver(() => {
			if (document.querySelector('.ring-replaying')) window.replays += 1;
		}).observe(document.body, { subtree: true, childList: true, attributes: true });
	})()`, nil)
	c.ask(t, http.MethodPost, c.origin(old%5+1)+"/api/v1/chaos/stop", map[string]int{"node": old}, nil)
	p.until("another leader in the verdict", fmt.Sprintf(`/^Degraded. Node [^%d] leads/.test(document.title)`, old))
	p.until("the election replayed", `window.replays > 0`)
	p.sees("4 of 5 voters answer")
}

func TestTheServingNodeStops(t *testing.T) {
	c := startReal(t)
	p := c.open(t, 1)
	c.ask(t, http.MethodPost, c.origin(2)+"/api/v1/chaos/stop", map[string]int{"node": 1}, nil)
	p.until("another source", `/connected to\s+node [2-5]/.test(document.body.innerText)`)
	p.until("a live status", `/^live/.test(document.querySelector('.age-words').innerText)`)
	p.fill("key", "still")
	p.click("Run")
	p.until("a write through the other node", `document.querySelector('.answer-ok')`)
	c.ask(t, http.MethodPost, c.origin(2)+"/api/v1/chaos/start", map[string]int{"node": 1}, nil)
	p.until("its own node again",
		`document.querySelector('.via').innerText === 'via node 1' && !document.querySelector('.bar')`)
}

// play plays a scenario to its end by the keyboard, and checks each step's result.
func play(t *testing.T, p *tab, button string, steps int) string {
	t.Helper()
	p.eval(`location.hash = '#/scenarios'`, nil)
	p.click(button)
	p.click("continue automatically")
	for step := 1; step <= steps; step++ {
		p.until(fmt.Sprintf("step %d of %d done", step, steps),
			fmt.Sprintf(`document.querySelector('.scenario-count')?.innerText.endsWith('step %d of %d') &&
				document.querySelector('.result-done, .result-failed')`, step, steps))
		p.until(fmt.Sprintf("step %d without failure", step), `!document.querySelector('.result-failed')`)
		if step < steps {
			p.eval(`document.activeElement.blur()`, nil)
			p.press(" ")
		}
	}
	scenario := p.text(".scenario-text")
	p.press("\u001b")
	p.until("the scenario is left", `!document.querySelector('.scenario')`)
	return scenario
}

func TestScenarioKillTheLeader(t *testing.T) {
	p := startReal(t).open(t, 1)
	play(t, p, "Play: Kill the leader", 7)
	p.until("the cluster is whole", whole)
}

func TestScenarioFollowerFailure(t *testing.T) {
	p := startReal(t).open(t, 1)
	play(t, p, "Play: Follower failure and catch-up", 6)
	p.until("the cluster is whole", whole)
}

func TestScenarioPartitionAMinority(t *testing.T) {
	for _, how := range []string{"Leader in the minority", "Leader in the majority"} {
		t.Run(how, func(t *testing.T) {
			p := startReal(t).open(t, 1)
			play(t, p, how+": Partition a minority", 7)
			p.until("the cluster is whole", whole)
		})
	}
}

func TestAPausedNodeIsSeen(t *testing.T) {
	p := startReal(t).open(t, 1)
	p.eval(`location.hash = '#/overview?node=4'`, nil)
	p.click("Pause node 4")
	p.until("the word paused in its row",
		`[...document.querySelectorAll('.nodes-table tr')][4].innerText.includes('paused')`)
	p.click("Resume node 4")
	p.until("all answer again", whole)
}
