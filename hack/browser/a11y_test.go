package browser

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
)

// axe is axe-core, which checks a page against the rules of WCAG. hack/tools/ui/vendor.sh brings it here.
//
//go:embed testdata/axe.min.js
var axe string

// finding is one broken rule and where it is broken.
type finding struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// audit runs axe-core and fails the test for every finding.
func (p *tab) audit(where string) {
	p.t.Helper()
	p.eval(`(() => { if (!window.axe) { `+axe+` } return 0; })()`, new(int))
	var findings []finding
	p.eval(`axe.run(document, {
		runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'] }, resultTypes: ['violations'],
	}).then((r) => r.violations)`, &findings)
	for _, f := range findings {
		for _, n := range f.Nodes {
			p.t.Errorf("%s: %s (%s)\n%.300s\n%s", where, f.ID, f.Help, n.HTML, n.Summary)
		}
	}
}

// views are all views of the page: the address, and the condition for having been drawn.
var views = []struct{ name, hash, ready string }{
	{"overview", "#/overview", `document.querySelector('.log-table .key')`},
	{"log", "#/log", `document.querySelector('.log-view .key')`},
	{"key", "#/keys?key=cfg%2Fa", `document.querySelector('.key-meta')`},
	{"scenarios", "#/scenarios", `document.querySelector('.card')`},
	{"node", "#/overview?node=2", `document.querySelector('.drawer')`},
}

func TestPageIsAccessible(t *testing.T) { // WCAG 2.2 A and AA, as far as axe-core checks it
	for _, w := range []window{
		{width: 1440, height: 900},
		{width: 1440, height: 900, dark: true},
		{width: 360, height: 740},
		{width: 360, height: 740, dark: true},
	} {
		t.Run(fmt.Sprintf("%d wide, dark %v", w.width, w.dark), func(t *testing.T) {
			t.Parallel()
			c := startFake(t, 5)
			c.cluster.Capabilities = []string{"chaos"}
			c.put("cfg/a", "text", 36)
			c.put("greeting", "hello", 50)
			p := openTab(t, w, c.server.URL+"/")
			p.until("the first status", `document.title.startsWith('Healthy')`)
			p.click("Run")
			p.until("an answer", `document.querySelector('.answer-ok')`)
			p.auditAll("healthy")
			c.alter(func(s *api.ClusterStatus) { lose(s, 2, 4, 5) })
			p.until("no quorum", `document.title.startsWith('No quorum')`)
			p.auditAll("no quorum")
			p.eval(`location.hash = '#/overview'`, nil)
			for _, key := range []string{"?", "k"} {
				p.overlay(key)
				p.audit("dialog")
				p.press("\u001b")
				p.until("the dialog closed", `!document.querySelector('dialog[open]')`)
			}
			c.server.CloseClientConnections()
			c.server.Close()
			p.until("lost", `document.title.startsWith('Cannot reach')`)
			p.audit("lost")
		})
	}
}

// overlay opens the help with its key, or the palette with its button.
func (p *tab) overlay(key string) {
	p.t.Helper()
	if key == "?" {
		p.eval(`document.dispatchEvent(new KeyboardEvent('keydown', { key: '?', bubbles: true }))`, nil)
	} else {
		p.eval(`document.dispatchEvent(new KeyboardEvent('keydown', { key: 'k', ctrlKey: true, bubbles: true }))`, nil)
	}
	p.until("a dialog", `document.querySelector('dialog[open]')`)
}

func (p *tab) auditAll(state string) {
	p.t.Helper()
	for _, v := range views {
		quoted, _ := json.Marshal(v.hash)
		p.eval(`location.hash = `+string(quoted), nil)
		p.until(v.name, v.ready)
		p.audit(state + ", " + v.name)
	}
}

// TestShapesCanBeSeen computes the contrast of what axe-core does not check: shapes, lines and borders against
// what is behind them need 3:1 (WCAG 1.4.11).
func TestShapesCanBeSeen(t *testing.T) {
	for _, dark := range []bool{false, true} {
		c := startFake(t, 5)
		p := openTab(t, window{width: 1440, height: 900, dark: dark}, c.server.URL+"/")
		p.until("the first status", `document.title.startsWith('Healthy')`)
		var low []string
		p.eval(`(() => {
			const probe = document.createElement('i');
			document.body.append(probe);
			const rgb = (name) => {
				probe.className = '';
				probe.style.color = 'var(' + name + ')';
				return getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
			};
			const light = (c) => {
				const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
				return 0.2126 * r + 0.7152 * g + 0.0722 * b;
			};
			const ratio = (a, b) => { const [x, y] = [light(rgb(a)), light(rgb(b))];
				return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05); };
			const low = [];
			for (const back of ['--bg', '--soft', '--good-soft', '--warn-soft', '--bad-soft']) {
				for (const front of ['--good', '--warn', '--bad', '--slate', '--text', '--line']) {
					const need = front === '--line' ? 3 : 4.5;
					if (front === '--line' && back !== '--bg') continue;
					if (ratio(front, back) < need) low.push(front + ' on ' + back + ': ' + ratio(front, back).toFixed(2));
				}
			}
			probe.remove();
			return low;
		})()`, &low)
		if len(low) > 0 {
			t.Errorf("dark %v: too little contrast: %s", dark, strings.Join(low, "; "))
		}
	}
}
