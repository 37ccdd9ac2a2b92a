package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestNarrowScreensDoNotScrollSideways(t *testing.T) {
	for _, width := range []int64{320, 360, 480, 699, 700, 1024, 1099, 1100, 1440} {
		c := startFake(t, 5)
		c.cluster.Capabilities = []string{"chaos"}
		c.put("cfg/a", "text "+strings.Repeat("x", 500), 36)
		c.append([]byte(`{"op":"set","key":"` + strings.Repeat("k", 300) + `","value":"` + strings.Repeat("v", 300) + `"}`))
		p := c.open(t, window{width: width, height: 700})
		for _, v := range views {
			p.eval(`location.hash = '`+v.hash+`'`, nil)
			p.until(v.name, v.ready)
			var over string
			p.eval(`(() => {
				const root = document.documentElement;
				if (root.scrollWidth <= root.clientWidth) return '';
				const wide = [...document.querySelectorAll('#app *')].find((e) =>
					e.getBoundingClientRect().right > root.clientWidth + 1 && !e.closest('.offscreen, .toast'));
				return root.scrollWidth + ' > ' + root.clientWidth + ' because of ' + (wide?.className || wide?.tagName);
			})()`, &over)
			if over != "" {
				t.Errorf("%s at %d: %s", v.name, width, over)
			}
		}
	}
}

func TestPanelsDoNotOverlap(t *testing.T) { // geometry before pixels
	for _, w := range []window{
		{width: 1440, height: 900},
		{width: 1100, height: 900},
		{width: 900, height: 900},
		{width: 360, height: 740},
	} {
		c := startFake(t, 9)
		p := c.open(t, w)
		p.until("the log", `document.querySelector('.index')`)
		var overlaps []string
		p.eval(`(() => {
			const boxes = [...document.querySelectorAll('.panel')]
				.map((e) => [e.getAttribute('aria-labelledby'), e.getBoundingClientRect()]);
			const found = [];
			boxes.forEach(([a, x], i) => boxes.slice(i + 1).forEach(([b, y]) => {
				if (x.left < y.right - 1 && y.left < x.right - 1 && x.top < y.bottom - 1 &&
					y.top < x.bottom - 1) found.push(a + ' over ' + b);
			}));
			const words = [...document.querySelectorAll('.ring .node-word')].map((e) => e.getBoundingClientRect())
				.filter((r) => r.width > 0);
			words.forEach((x, i) => words.slice(i + 1).forEach((y) => {
				if (x.left < y.right && y.left < x.right && x.top < y.bottom && y.top < x.bottom) found.push('words of the ring');
			}));
			return found;
		})()`, &overlaps)
		if len(overlaps) > 0 {
			t.Errorf("%d wide: %s", w.width, strings.Join(overlaps, "; "))
		}
	}
}

func TestTheVerdictIsOnTheFirstScreen(t *testing.T) {
	p := startFake(t, 5).open(t, wide)
	p.until("verdict, ring, table and the first log rows without scrolling",
		`['.verdict', '.ring', '.nodes-table', '.command-box button.primary', '.sparks'].every(
		(s) => document.querySelector(s).getBoundingClientRect().bottom <= innerHeight)`)
}

func TestTargetsAreLargeEnough(t *testing.T) { // WCAG 2.5.8: 24 px
	c := startFake(t, 5)
	c.cluster.Capabilities = []string{"chaos"}
	p := c.open(t, wide)
	for _, v := range views[:4] {
		p.eval(`location.hash = '`+v.hash+`'`, nil)
		p.until(v.name, strings.Replace(v.ready, ".key-meta", ".key-detail", 1))
		var small []string
		p.eval(`[...document.querySelectorAll('button, input, select, .tab, label.check')]
			.filter((e) => e.offsetParent && !e.closest('.offscreen, label.check > *'))
			.filter((e) => e.type !== 'checkbox' && (e.offsetHeight < 24 || e.offsetWidth < 24))
				.map((e) => e.innerText || e.name || e.className)`, &small)
		if len(small) > 0 {
			t.Errorf("%s: too small: %v", v.name, small)
		}
	}
}

func TestTheKeyboardAlone(t *testing.T) {
	c := startFake(t, 5)
	c.cluster.Capabilities = []string{"chaos"}
	c.put("cfg/a", "text", 36)
	p := c.open(t, wide)
	p.until("scenarios are known", `document.querySelectorAll('.tab[href]').length === 4`)
	p.press("gl")
	p.sees("Following the end")
	p.press("gk")
	p.until("keys", `document.querySelector('.keys-view')`)
	p.press("/")
	p.until("the search field", `document.activeElement.name === 'lookup'`)
	p.eval(`document.activeElement.select()`, nil) // the protocol types the slash after the key press was handled
	p.press("cfg/a" + kb.Enter)
	p.until("the key", `location.hash === '#/keys?key=cfg%2Fa' && document.querySelector('.key-meta')`)
	p.press(kb.Escape)
	p.press("go")
	p.until("overview", `document.querySelector('.overview .nodes-table')`)
	p.press("jj")
	p.until("the second row", `document.activeElement.innerText === '2'`)
	p.press(kb.Enter)
	p.until("the drawer has the focus", `document.activeElement.classList.contains('drawer')`)
	p.press(kb.Escape)
	p.until("it is closed and the row has the focus again",
		`!document.querySelector('.drawer') && document.activeElement.innerText === '2'`)
	p.press("t")
	p.until("light", `document.documentElement.dataset.theme === 'light'`)
	p.press("t")
	p.until("dark", `getComputedStyle(document.body).backgroundColor === 'rgb(14, 17, 22)'`)
	p.do(chromedp.KeyEvent("k", chromedp.KeyModifiers(2)))
	p.until("the palette",
		`document.querySelector('dialog.palette[open]') && document.activeElement.getAttribute('role') === 'combobox'`)
	p.press("open node 4" + kb.Enter)
	p.until("node 4", `document.querySelector('.drawer h2')?.innerText === 'Node 4'`)
	p.press(kb.Escape)
	p.press("?")
	p.until("help", `document.querySelector('dialog.help[open]')`)
	p.click("single keys")
	p.press(kb.Escape)
	p.until("help is closed", `!document.querySelector('dialog[open]')`)
	p.press("gl")
	p.until("single keys are off", `location.hash.startsWith('#/overview')`)
}

func TestTheFocusIsSeen(t *testing.T) {
	p := startFake(t, 3).open(t, wide)
	for i := range 12 {
		p.press(kb.Tab)
		var unseen string
		p.eval(`(() => { const e = document.activeElement; const s = getComputedStyle(e);
			return e === document.body || (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2) ? ''
				: (e.innerText || e.name || e.className); })()`, &unseen)
		if unseen != "" {
			t.Errorf("stop %d: no focus ring on %s", i, unseen)
		}
	}
}

func TestAHiddenTabIsQuiet(t *testing.T) { // a page that is not visible must not load the cluster
	c := startFake(t, 3)
	p := c.open(t, wide)
	p.eval(`(() => { Object.defineProperty(document, 'hidden', { value: true, configurable: true });
		document.dispatchEvent(new Event('visibilitychange')); window.fetches = 0;
		const real = fetch; window.fetch = (...a) => { window.fetches += 1; return real(...a); }; })()`, nil)
	var fetches int
	p.eval(`new Promise((resolve) => setTimeout(() => resolve(window.fetches), 2500))`, &fetches)
	if fetches > 0 {
		t.Errorf("a hidden tab asked %d times", fetches)
	}
	p.eval(`(() => { Object.defineProperty(document, 'hidden', { value: false, configurable: true });
		document.dispatchEvent(new Event('visibilitychange')); })()`, nil)
	p.until("it goes on when it is visible",
		`window.fetches > 0 && /^live/.test(document.querySelector('.age-words').innerText)`)
}
