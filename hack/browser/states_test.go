package browser

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/kontiki-dev/kontiki/node/api"
)

// The tests in this file put the cluster into every state that the page can show.

// open opens the page of a fake cluster.
func (c *fakeCluster) open(t *testing.T, w window) *tab {
	t.Helper()
	p := openTab(t, w, c.server.URL+"/", c.members...)
	p.until("the first status", `document.querySelector('.nodes-table, .waiting-node')`)
	return p
}

func TestTheVerdictComesFirst(t *testing.T) {
	p := startFake(t, 5).open(t, wide)
	p.sees("Healthy. Node 2 leads term 14 (3 d). 5 of 5 voters answer. Survives 2 failures.")
	p.until("the title shows it", `document.title === 'Healthy. Node 2 leads term 14 (3 d). Kontiki'`)
	p.until("the icon shows it", `document.getElementById('favicon').href.endsWith('/icons/ok.svg')`)
	p.until("it is spoken", `document.querySelector('[role=status][aria-live]').innerText.startsWith('Healthy.')`)
	p.until("the ring is its equal", `document.querySelector('.ring').getAttribute('aria-label').startsWith('Healthy.')`)
}

func TestOneNode(t *testing.T) {
	p := startFake(t, 1).open(t, wide)
	p.sees("1 of 1 voter answers. No spare: it is the only voter.")
}

func TestNoQuorum(t *testing.T) {
	c := startFake(t, 5)
	p := c.open(t, wide)
	c.alter(func(s *api.ClusterStatus) { lose(s, 2, 4, 5) })
	p.sees("No quorum. 2 of 5 voters answer. 3 are needed. Writes stop. Stale reads work. Needed: 1 of nodes 2, 4 and 5.")
	p.until("the icon shows it", `document.getElementById('favicon').href.endsWith('/icons/bad.svg')`)
	p.until("old figures are marked",
		`[...document.querySelectorAll('.nodes-table tr')][2].innerText.includes('12 s ago')`)
}

func TestNoLeader(t *testing.T) {
	c := startFake(t, 5)
	p := c.open(t, wide)
	c.alter(func(s *api.ClusterStatus) {
		s.LeaderID, s.Term, s.Health.State = 0, 15, api.NoLeader
		s.Nodes[1].State, s.Nodes[2].State = "FOLLOWER", "CANDIDATE"
	})
	p.sees("No leader. An election runs in term 15. 5 of 5 voters answer. Writes wait.")
	p.until("a dashed ring", `document.querySelectorAll('.ring .shape-candidate').length === 1`)
}

func TestTheLeaderShowsHowItSendsToEachFollower(t *testing.T) {
	c := startFake(t, 5)
	p := c.open(t, wide)
	c.alter(func(s *api.ClusterStatus) {
		for id, state := range map[uint64]string{1: "probe", 3: "snapshot", 4: "refuses"} {
			progress := s.Nodes[1].Progress[id]
			progress.State = state
			s.Nodes[1].Progress[id] = progress
		}
	})
	p.eval(`location.hash = '#/overview?node=2'`, nil)
	p.until("the states of its followers",
		`[...document.querySelectorAll('[aria-label=Followers] tbody tr')].map((r) => r.children[3].innerText).join() ===`+
			` 'probe,snapshot,refuses,replicate'`)
}

func TestANodeThatWaits(t *testing.T) {
	c := startFake(t, 1)
	c.alter(func(s *api.ClusterStatus) { s.Nodes[0].LifeCycle, s.LeaderID = api.StateEmpty, 0 })
	p := c.open(t, wide)
	p.sees("This node waits to be added")
	p.sees("raftnode serve --data-dir DIR --id 1 --initial-cluster")
}

func TestAnEmptyStoreTeaches(t *testing.T) {
	c := startFake(t, 3)
	c.log, c.commit = c.log[:1], 1
	p := c.open(t, wide)
	p.sees("The store is empty.")
	p.until("three commands",
		`[...document.querySelectorAll('.empty code')].filter((e) => e.innerText.startsWith('curl')).length === 3`)
}

func TestAlarmsSayWhatToDo(t *testing.T) {
	c := startFake(t, 5)
	p := c.open(t, wide)
	c.alter(func(s *api.ClusterStatus) {
		s.Nodes[3].Latency.Fsync.P99, s.Nodes[3].Disk.Slow = 112, true
		s.Health.State = api.Degraded
		s.Health.Reasons = []string{"node 4 has a slow disk: the p99 of its fsync is 112 ms (limit 100 ms)"}
	})
	p.sees("Node 4 has a slow disk: the p99 of its fsync is 112 ms (limit 100 ms). " +
		"Next: Commits do not wait for it. Check its disk.")
	p.until("the word in its row", `document.querySelectorAll('.nodes-table tr')[4].innerText.includes('slow disk')`)
}

func TestAnElectionIsReplayed(t *testing.T) {
	c := startFake(t, 5)
	p := c.open(t, wide)
	p.until("the last election in words",
		`document.querySelector('.election').innerText.includes('node 2 elected in 214 ms, term 14, votes 1 2 3')`)
	c.alter(func(s *api.ClusterStatus) {
		c.events = append(c.events, election(15, 4, 5)...)
		s.LeaderID, s.Term = 4, 15
		s.Nodes[1].State, s.Nodes[1].MatchIndex, s.Nodes[1].Progress = "FOLLOWER", nil, nil
		lead(s)
	})
	p.sees("Node 4 asks for votes, shown 6x slower")
	p.until("a dot per request and per answer", `document.querySelectorAll('.votes .vote').length === 8`)
	p.until("the end of it",
		`!document.querySelector('.votes') && document.querySelector('.election').innerText.includes('node 4 elected')`)
}

func TestNothingMovesForThoseWhoWantThat(t *testing.T) {
	c := startFake(t, 5)
	p := c.open(t, window{width: 1440, height: 900, calm: true})
	c.alter(func(s *api.ClusterStatus) {
		c.events = append(c.events, election(15, 2, 5)...)
		s.Term = 15
	})
	p.until("the sentence and the pips",
		`document.querySelector('.election').innerText.includes('term 15') &&
			document.querySelectorAll('.pip-yes').length === 3`)
	var moving int
	p.eval(`document.getAnimations().length`, &moving)
	if moving != 0 {
		t.Errorf("%d elements are animated", moving)
	}
}

func TestWithoutAStreamThePagePolls(t *testing.T) {
	c := startFake(t, 3)
	c.noStream = true
	p := c.open(t, wide)
	p.until("polling", `document.querySelector('.age-words').innerText.startsWith('polling')`)
	c.alter(func(s *api.ClusterStatus) { s.Health.State = api.Degraded })
	p.sees("Degraded.")
}

func TestNoMemberAnswers(t *testing.T) {
	c := startFake(t, 3)
	p := c.open(t, wide)
	c.server.CloseClientConnections()
	c.server.Close()
	p.sees("Cannot reach the cluster.")
	p.sees("No member answers. The page below shows the last status.")
	p.until("each address with its error",
		`/http:\/\/127.0.0.1:\d+ \(node 1\) no connection/.test(document.querySelector('.attempts').innerText)`)
	p.until("the age of the status", `/^last seen [\d.]+ s ago/.test(document.querySelector('.age-words').innerText)`)
	p.until("the status is there, in gray", `document.querySelector('main.stale .nodes-table')`)
	p.until("the icon shows it", `document.getElementById('favicon').href.endsWith('/icons/lost.svg')`)
}

func TestASilentNodeIsLeft(t *testing.T) { // it keeps its connections but sends nothing, like a paused process
	first, second := startFake(t, 3), startFake(t, 3)
	first.members = []string{second.server.URL}
	first.alter(func(s *api.ClusterStatus) { s.Nodes[2].APIAddress = second.server.URL })
	second.alter(func(s *api.ClusterStatus) { s.Observer = 3 })
	p := first.open(t, wide)
	first.change(func(c *fakeCluster) { c.deaf = true })
	p.until("another source", `/connected to\s+node 3/.test(document.body.innerText)`)
	first.change(func(c *fakeCluster) { c.deaf = false })
	p.until("its own again", `!document.querySelector('.bar')`)
}

func TestAnotherClusterIsNoSource(t *testing.T) {
	first, second := startFake(t, 3), startFake(t, 3)
	first.members = []string{second.server.URL}
	first.alter(func(s *api.ClusterStatus) { s.Nodes[2].APIAddress = second.server.URL })
	second.alter(func(s *api.ClusterStatus) { s.ClusterID = "another" })
	p := first.open(t, wide)
	first.server.CloseClientConnections()
	first.server.Close()
	p.until("it is named and not used", `document.querySelector('.attempts')?.innerText.includes('another cluster')`)
}

func TestItWakesUp(t *testing.T) {
	c := startFake(t, 3)
	p := c.open(t, wide)
	offline := func(is bool) {
		// By name: the command that has replaced it takes other parameters in each version of Chromium.
		p.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
			conditions := map[string]any{"offline": is, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
			return chromedp.Void{}, target.Call(ctx, "Network.emulateNetworkConditions", conditions, nil)
		})
	}
	offline(true)
	c.server.CloseClientConnections()
	p.until("lost", `document.title.startsWith('Cannot reach')`)
	offline(false)
	p.eval(`window.dispatchEvent(new Event('online'))`, nil)
	p.until("back", `document.title.startsWith('Healthy')`)
}

func TestMissingFieldsBreakNothing(t *testing.T) {
	shapes := map[string]string{
		"nothing": `{}`, "null": `null`, "a list": `[]`, "a number": `7`,
		"nodes of all kinds": `{"nodes":[null,7,"x",[],{},{"id":1},{"id":"2"},{"id":-3},
			{"id":4,"age_ms":"old","latency":7}]}`,
		"a leader without": `{"leader_id":9,"nodes":[{"id":1,"state":"LEADER"}],"health":{"state":"healthy"}}`,
		"wrong maps": `{"leader_id":1,
			"nodes":[{"id":1,"state":"LEADER","match_index":[1,2],"progress":7,"latency":{"write":{"buckets":"x"}}}]}`,
		"wrong health":  `{"health":"good","nodes":[{"id":1}]}`,
		"wrong reasons": `{"health":{"state":"degraded","reasons":[null,7,{"a":1}]},"nodes":[{"id":1}]}`,
		"wrong events": `{"recent_events":[null,7,{"kind":7},{"kind":"elected"},{"kind":"vote","from":"x"},
			{"kind":"new"}],"nodes":[{"id":1}]}`,
		"many": manyNodes(60),
		"an address, hostile": `{"nodes":[{"id":1,"api_address":"javascript:alert(1)"}],
			"config":{"members":[{"id":1,"api_address":"data:text/html,x"}]}}`,
		"addresses to follow": `{"config":{"members":[{"id":5},{"id":null},null]}}`,
	}
	c := startFake(t, 3)
	p := c.open(t, wide)
	for name, raw := range shapes {
		c.change(func(c *fakeCluster) { c.status = rawJSON(raw) })
		shown := fmt.Sprintf("drawn %s", name)
		p.eval(`window.before = document.querySelector('.age-words')`, nil)
		p.until(shown, `performance.now() > 0 && document.querySelector('main')`)
		for _, hash := range []string{"#/overview", "#/overview?node=1", "#/log", "#/keys", "#/scenarios"} {
			p.eval(`location.hash = '`+hash+`'`, nil)
			p.eval(`new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 40)))`, nil)
			if text := p.text("main"); strings.Contains(text, "This panel failed") || strings.Contains(text, "undefined") ||
				strings.Contains(text, "NaN") || strings.Contains(text, "[object") {
				t.Errorf("%s at %s: %s", name, hash, text)
			}
		}
		var links []string
		p.eval(`[...document.querySelectorAll('a')].map((a) => a.href).filter((h) => !h.startsWith('http'))`, &links)
		if len(links) > 0 {
			t.Errorf("%s: links to %v", name, links)
		}
	}
}

type rawJSON string

// MarshalJSON returns the text unchanged.
func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

func manyNodes(count int) string {
	var nodes []string
	for i := 1; i <= count; i++ {
		nodes = append(nodes, fmt.Sprintf(`{"id":%d,"state":"FOLLOWER"}`, i))
	}
	return `{"nodes":[` + strings.Join(nodes, ",") + `]}`
}

func TestTheWatcherDoesNotMoveTheWatched(t *testing.T) { // nothing moves under the pointer
	c := startFake(t, 5)
	p := c.open(t, wide)
	p.until("the log", `document.querySelectorAll('.entry').length > 20`)
	p.fill("key", "half-typ")
	p.eval(`document.querySelector('[name=key]').setSelectionRange(2, 5)`, nil)
	p.eval(`document.querySelector('.log-scroll').scrollTop = 120`, nil)
	p.eval(`window.rows = [...document.querySelectorAll('.index')]
		.map((e) => e.innerText + e.getBoundingClientRect().top).join()`, nil)
	p.eval(`new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 60)))`, nil)
	for i := range 12 {
		c.append([]byte(fmt.Sprintf(`{"op":"set","key":"new","value":%d}`, i)))
	}
	p.until("the new rows wait", `document.querySelector('.waiting').innerText === '12 new, show'`)
	p.until("no row has moved",
		`window.rows === [...document.querySelectorAll('.index')]
			.map((e) => e.innerText + e.getBoundingClientRect().top).join()`)
	p.until("the field is as it was",
		`document.activeElement.name === 'key' && document.activeElement.value === 'half-typ' &&
			document.activeElement.selectionStart === 2 && document.activeElement.selectionEnd === 5`)
	p.click("12 new, show")
	p.until("they are there", `document.querySelector('.index').innerText === '52'`)
}

func TestPausedNothingIsLost(t *testing.T) {
	c := startFake(t, 3)
	p := c.open(t, wide)
	p.until("the log", `document.querySelector('.index')?.innerText === '40'`)
	p.eval(`document.activeElement.blur()`, nil)
	p.press(".")
	p.until("paused", `document.querySelector('.age-words').innerText.startsWith('paused')`)
	c.append([]byte(`{"op":"set","key":"while","value":"paused"}`))
	c.alter(func(s *api.ClusterStatus) { s.Health.State = api.Degraded })
	p.until("the cluster goes on", `document.title.startsWith('Degraded')`)
	p.until("the page does not",
		`document.querySelector('.index').innerText === '40' &&
			document.querySelector('.verdict').innerText.startsWith('Healthy')`)
	p.press(".")
	p.until("nothing is lost", `document.querySelector('.index').innerText === '41'`)
}

func TestAFaultStaysInItsPanel(t *testing.T) {
	c := startFake(t, 3)
	p := c.open(t, wide)
	// A browser without a standard function stands in for errors that no test covers.
	p.eval(`void (Array.prototype.flatMap = () => { throw new Error('planted'); })`, nil)
	p.sees("This panel failed")
	p.until("the others go on", `document.querySelector('.nodes-table') && document.querySelector('.ring')`)
	p.expectProblem("planted")
}

func TestAForeignScriptDoesNotRun(t *testing.T) { // the policy is enforced
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	defer elsewhere.Close()
	p := startFake(t, 3).open(t, wide)
	p.eval(`fetch('`+elsewhere.URL+`').catch(() => 0)`, nil)
	p.expectProblem("Connecting to")
	p.eval(`(() => { try { document.body.innerHTML = '<b>x</b>'; } catch { return;
		} throw new Error('innerHTML worked'); })()`, nil)
	p.forgive("Content Security Policy", "Trusted", "Refused to connect", "foreign request")
}
