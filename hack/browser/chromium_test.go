package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a test waits for a condition before it fails.
const patience = 30 * time.Second

// chromium finds an installed browser, or skips the test; under CI=1 there must be one.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "1" {
		t.Fatal("no Chromium is installed, and CI=1 requires the browser tests; on Debian: apt-get install chromium")
	}
	t.Skip("no Chromium is installed; on Debian: apt-get install chromium")
	return ""
}

// shared is the one browser of the test run; each page has its own context, like a private window.
var shared struct {
	once   sync.Once
	ctx    context.Context
	cancel func()
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.cancel != nil {
		shared.cancel()
	}
	os.Exit(code)
}

func startBrowser(path string) {
	profile, err := os.MkdirTemp("", "kontiki-browser-")
	if err != nil {
		shared.err = err
		return
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.Headless, chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-lcd-text", true),
		chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("font-render-hinting", "none"),
		// Several pages are open at once, and none of them has the focus.
		chromedp.Flag("disable-backgrounding-occluded-windows", true), chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("disable-background-timer-throttling", true), chromedp.Flag("hide-scrollbars", false),
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(quietly))
	shared.ctx = ctx
	shared.cancel = func() {
		cancel()
		stop()
		_ = os.RemoveAll(profile)
	}
	shared.err = chromedp.Do(ctx)
}

// quietly drops the errors about events that a newer Chromium sends and the protocol package lacks.
func quietly(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if !strings.Contains(line, "could not unmarshal event") {
		fmt.Fprintln(os.Stderr, "chromedp:", line)
	}
}

// window is the size of the window and the preferences of the reader.
type window struct {
	width, height int64
	dark          bool
	calm          bool // prefers reduced motion
}

var wide = window{width: 1440, height: 900}

// tab is one open page, with all its errors.
type tab struct {
	t       *testing.T
	ctx     context.Context
	origins []string // that it may use

	mu       sync.Mutex
	problems []string
}

// openTab opens an address in a private window. When the test ends the page must not have reported an error: no console
// error, no policy violation, no uncaught exception, no request to anywhere but the allowed origins.
func openTab(t *testing.T, w window, address string, allowed ...string) *tab {
	t.Helper()
	path := chromium(t)
	shared.once.Do(func() { startBrowser(path) })
	if shared.err != nil {
		t.Fatalf("Chromium does not start: %v", shared.err)
	}
	ctx, cancel := chromedp.NewContext(shared.ctx, chromedp.WithNewBrowserContext())
	p := &tab{t: t, ctx: ctx, origins: append(allowed, originOf(address))}
	t.Cleanup(func() {
		p.saveOnFailure()
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, problem := range p.problems {
			t.Errorf("the page reported: %s", problem)
		}
	})
	if err := p.prepare(w); err != nil {
		t.Fatalf("preparing a page: %v", err)
	}
	p.do(chromedp.Navigate(address))
	return p
}

// prepare listens for errors and sets the screen of the reader. The first call opens the target, which
// must outlast the timeout of a single action.
func (p *tab) prepare(w window) error {
	if err := chromedp.Listen(p.ctx, p.listen); err != nil {
		return err
	}
	if _, err := chromedp.Call(p.ctx, log.Enable, cdp.Empty{}); err != nil {
		return err
	}
	if _, err := chromedp.Call(p.ctx, network.Enable, network.EnableParams{}); err != nil {
		return err
	}
	focus := emulation.SetFocusEmulationEnabledParams{Enabled: true}
	if _, err := chromedp.Call(p.ctx, emulation.SetFocusEmulationEnabled, focus); err != nil {
		return err
	}
	return p.resize(w)
}

// resize changes the window and the reader's preferences.
func (p *tab) resize(w window) error {
	size := emulation.SetDeviceMetricsOverrideParams{Width: w.width, Height: w.height, DeviceScaleFactor: 1}
	if _, err := chromedp.Call(p.ctx, emulation.SetDeviceMetricsOverride, size); err != nil {
		return err
	}
	scheme, motion := "light", "no-preference"
	if w.dark {
		scheme = "dark"
	}
	if w.calm {
		motion = "reduce"
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion},
	}}
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, media)
	return err
}

func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Scheme + "://" + u.Host
}

// listen collects errors. A refused connection is none: nodes of the cluster stop.
func (p *tab) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		p.complain("uncaught: " + describe(e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			var words []string
			for _, argument := range e.Args {
				words = append(words, string(argument.Value)+argument.Description)
			}
			p.complain("console: " + strings.Join(words, " "))
		}
	case *log.EventEntryAdded:
		if e.Entry.Source != log.EntrySourceNetwork && e.Entry.Level == log.EntryLevelError {
			p.complain("log: " + e.Entry.Text)
		}
	case *network.EventRequestWillBeSent:
		if origin := originOf(e.Request.URL); !slices.Contains(p.origins, origin) && !strings.HasPrefix(origin, "data:") {
			p.complain("foreign request: " + e.Request.URL)
		}
	}
}

func (p *tab) complain(problem string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problems = append(p.problems, problem)
}

// expectProblem removes one error that a test causes on purpose.
func (p *tab) expectProblem(part string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, problem := range p.problems {
		if strings.Contains(problem, part) {
			p.problems = slices.Delete(p.problems, i, i+1)
			return
		}
	}
	p.t.Errorf("the page did not report %q", part)
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("in the browser: %v", err)
	}
}

// eval evaluates an expression, which may be asynchronous, into result; nil discards the value.
func (p *tab) eval(expression string, result any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if result == nil {
		expression = "(async () => { await (" + expression + "); return 0; })()"
	}
	raw, err := chromedp.Run(ctx, chromedp.Evaluate[[]byte](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("evaluating %.200s: %v", expression, err)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(raw, result); err != nil {
		p.t.Fatalf("evaluating %.200s gave %.200s: %v", expression, raw, err)
	}
}

// until waits for an expression to be true. The page itself polls it; a page that is loaded again
// in the meantime gets the expression again.
func (p *tab) until(what, expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	check := fmt.Sprintf(`new Promise((resolve) => {
		const check = () => {
			let held = false;
			try { held = Boolean(%s); } catch {}
			if (held) resolve(true);
			else setTimeout(check, 20);
		};
		check();
	})`, expression)
	for ctx.Err() == nil {
		if held, err := chromedp.Run(ctx, chromedp.Evaluate[bool](check, chromedp.EvalAwaitPromise)); err == nil && held {
			return
		}
	}
	var page string
	p.eval(`document.body.innerText.slice(0, 1500)`, &page)
	p.t.Fatalf("timeout waiting for: %s\nThe page shows:\n%s", what, page)
}

// sees waits for text anywhere on the page.
func (p *tab) sees(text string) {
	p.t.Helper()
	quoted, _ := json.Marshal(text)
	p.until("the text "+string(quoted), `document.body.innerText.includes(`+string(quoted)+`)`)
}

// click clicks the button or link whose name (its label, or else its text) this is.
func (p *tab) click(name string) {
	p.t.Helper()
	quoted, _ := json.Marshal(name)
	find := `[...document.querySelectorAll('button, a, label.check')].filter((b) => b.offsetParent !== null &&
		!b.disabled).find(
		(b) => (b.getAttribute('aria-label') ?? b.innerText).trim() === ` + string(quoted) + `)`
	p.until("something to click named "+string(quoted), find)
	p.eval(`(`+find+`).click()`, nil)
}

// fill types into the visible field with this name.
func (p *tab) fill(name, text string) {
	p.t.Helper()
	selector := `[name="` + name + `"]`
	p.until("a field named "+name, `document.querySelector('`+selector+`')`)
	quoted, _ := json.Marshal(text)
	p.eval(`(() => {
		const field = document.querySelector('`+selector+`');
		field.focus();
		field.value = `+string(quoted)+`;
		field.dispatchEvent(new Event(field.tagName === 'SELECT' ? 'change' : 'input', { bubbles: true }));
	})()`, nil)
}

// press presses a key on the element with the focus.
func (p *tab) press(keys string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys))
}

// text returns the text of the first element that a selector finds.
func (p *tab) text(selector string) string {
	p.t.Helper()
	quoted, _ := json.Marshal(selector)
	var text string
	p.eval(`document.querySelector(`+string(quoted)+`)?.innerText ?? ''`, &text)
	return text
}

// picture takes a screenshot of the window, or of the whole page.
func (p *tab) picture(path string, whole bool) {
	p.t.Helper()
	shot, err := chromedp.Call(p.ctx, cdppage.CaptureScreenshot,
		cdppage.CaptureScreenshotParams{CaptureBeyondViewport: &whole})
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, shot.Data, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// keep saves a screenshot of the window for people, if SCREENSHOTS names a directory for them.
func (p *tab) keep(name string) {
	p.t.Helper()
	if directory := os.Getenv("SCREENSHOTS"); directory != "" {
		p.picture(filepath.Join(directory, name+".png"), false)
	}
}

// saveOnFailure saves a screenshot of the page of a failed test.
func (p *tab) saveOnFailure() {
	directory := os.Getenv("SCREENSHOTS")
	if !p.t.Failed() || directory == "" {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	if png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot()); err == nil {
		name := strings.Map(func(r rune) rune {
			if bytes.ContainsRune([]byte(`/\ `), r) {
				return '_'
			}
			return r
		}, p.t.Name())
		_ = os.WriteFile(directory+"/failed_"+name+".png", png, 0o644)
	}
}

func describe(details *runtime.ExceptionDetails) string {
	text := details.Text
	if details.Exception != nil {
		text += " " + details.Exception.Description
	}
	return fmt.Sprintf("%s (%s:%d)", text, details.URL, details.LineNumber)
}

// forgive removes every error that contains one of the parts: the test causes them on purpose.
func (p *tab) forgive(parts ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problems = slices.DeleteFunc(p.problems, func(problem string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(problem, part) })
	})
}
