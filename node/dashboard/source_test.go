package dashboard

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// The limits of the page, in bytes: everything that a browser loads, uncompressed and compressed. The scenarios come
// in addition, but only in raftnode local.
const (
	maxRaw    = 200_000
	maxZipped = 70_000
)

func TestThePageStaysSmall(t *testing.T) {
	t.Parallel()
	p := loadPage()
	raw, zipped := len(p.index.raw), len(p.index.zipped)
	for name, file := range p.files {
		if strings.Contains(name, "LICENSE") || isLazy(name) {
			continue
		}
		raw += len(file.raw)
		if file.zipped == nil {
			zipped += len(file.raw)
		} else {
			zipped += len(file.zipped)
		}
	}
	t.Logf("%d bytes, %d compressed", raw, zipped)
	if raw > maxRaw || zipped > maxZipped {
		t.Errorf("the page has %d bytes, %d compressed; it may have %d and %d", raw, zipped, maxRaw, maxZipped)
	}
}

// banned is what the page's own sources must not contain, and why.
var banned = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{
		regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|document\.write`),
		"user text must not become markup",
	},
	{regexp.MustCompile(`\beval\s*\(|new Function|setTimeout\(\s*['"]|setInterval\(\s*['"]`), "text must not become code"},
	{regexp.MustCompile(`\sstyle\s*=|cssText|setAttribute\(\s*['"]style`), "the policy forbids inline style"},
	{regexp.MustCompile(`\son[a-z]+\s*=\s*["']`), "the policy forbids inline handlers"},
	{regexp.MustCompile(`<script>|type=["']importmap`), "the policy forbids inline scripts"},
	{regexp.MustCompile(`@import|[:\s]url\(|@font-face`), "style sheets load nothing"},
	{regexp.MustCompile(`https?://[a-z]`), "the page makes no foreign request"},
	{regexp.MustCompile(`\bEventSource\b`), "it hides the status of a response"},
	{regexp.MustCompile(`console\.(log|debug|info)`), "left over from debugging"},
}

// allowedAddresses are not requests: the name of a format, an example, and a placeholder.
var allowedAddresses = regexp.MustCompile(`http://www\.w3\.org/2000/svg|http://h[1-4]:7080`)

func TestSourcesKeepThePolicy(t *testing.T) {
	t.Parallel()
	for name, raw := range sourceFiles() {
		if strings.HasPrefix(name, "third_party/") {
			continue
		}
		source := allowedAddresses.ReplaceAllString(string(raw), "")
		for _, ban := range banned {
			if found := ban.pattern.FindString(source); found != "" {
				t.Errorf("%s has %q: %s", name, found, ban.why)
			}
		}
	}
}

func TestSourcesStayReadable(t *testing.T) {
	t.Parallel()
	for name, raw := range sourceFiles() {
		if strings.HasPrefix(name, "third_party/") || path.Ext(name) == ".svg" {
			continue
		}
		lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
		if len(lines) > 300 {
			t.Errorf("%s has %d lines; the maximum is 300", name, len(lines))
		}
		for i, line := range lines {
			if width := utf8.RuneCountInString(line); width > 120 {
				t.Errorf("%s:%d has %d columns; the maximum is 120", name, i+1, width)
			}
		}
		if path.Ext(name) == ".js" && !strings.HasPrefix(lines[0], "//") {
			t.Errorf("%s does not state its purpose in its first line", name)
		}
	}
}

func TestThirdPartyIsWhatItWas(t *testing.T) { // hack/tools/ui/vendor.sh writes the sums
	t.Parallel()
	sums, err := embedded.ReadFile("third_party/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{"SHA256SUMS": true}
	scanner := bufio.NewScanner(bytes.NewReader(sums))
	for scanner.Scan() {
		want, name, ok := strings.Cut(scanner.Text(), "  ")
		if !ok {
			t.Fatalf("SHA256SUMS has the line %q", scanner.Text())
		}
		raw, err := embedded.ReadFile("third_party/" + name)
		if err != nil {
			t.Error(err)
			continue
		}
		sum := sha256.Sum256(raw)
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s was changed: its SHA-256 is %s, SHA256SUMS has %s; run make ui-vendor", name, got, want)
		}
		listed[name] = true
	}
	entries, err := embedded.ReadDir("third_party")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !listed[entry.Name()] {
			t.Errorf("third_party/%s has no sum in SHA256SUMS", entry.Name())
		}
	}
}

func TestEveryLibraryHasItsLicence(t *testing.T) {
	t.Parallel()
	for library, licence := range map[string]string{
		"preact.mjs": "LICENSE.preact", "hooks.mjs": "LICENSE.preact", "htm.mjs": "LICENSE.htm",
	} {
		if _, err := embedded.ReadFile("third_party/" + library); err != nil {
			t.Error(err)
		}
		if _, err := embedded.ReadFile("third_party/" + licence); err != nil {
			t.Error(err)
		}
	}
}
