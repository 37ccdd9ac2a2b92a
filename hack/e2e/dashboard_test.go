package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// browser finds an installed Chromium.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("no Chromium is installed; on Debian: apt-get install chromium")
	return ""
}

// photograph opens a page, waits until an expression is true on it, and returns a screenshot.
func photograph(t *testing.T, address, condition string) []byte {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(browser(t)), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-background-networking", true),
	}
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	defer stop()
	tab, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {}))
	defer cancel()
	if err := chromedp.Do(tab); err != nil { // opens the tab, which must outlast the time limits below
		t.Fatalf("Chromium does not start: %v", err)
	}
	size := emulation.SetDeviceMetricsOverrideParams{Width: 1440, Height: 900, DeviceScaleFactor: 1}
	if _, err := chromedp.Call(tab, emulation.SetDeviceMetricsOverride, size); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(tab, chromedp.Navigate(address)); err != nil {
		t.Fatalf("opening %s: %v", address, err)
	}
	await(t, "the page to show the cluster", time.Minute, func(context.Context) error {
		ctx, done := context.WithTimeout(tab, 5*time.Second)
		defer done()
		if held, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+condition+")")); err == nil && held {
			return nil
		}
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText.slice(0, 600)"))
		if err != nil {
			return err
		}
		return fmt.Errorf("it shows %q", strings.Join(strings.Fields(text), " "))
	})
	whole := false
	shot, err := chromedp.Call(tab, cdppage.CaptureScreenshot,
		cdppage.CaptureScreenshotParams{CaptureBeyondViewport: &whole})
	if err != nil {
		t.Fatal(err)
	}
	return shot.Data
}
