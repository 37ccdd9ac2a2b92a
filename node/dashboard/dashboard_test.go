package dashboard

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, h http.Handler, method, target string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, http.NoBody)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) []byte {
	t.Helper()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestTheDocumentIsFreshAndItsPolicyStrict(t *testing.T) {
	t.Parallel()
	members := func() []string {
		return []string{"http://10.0.0.12:8080/", "http://10.0.0.11:8080", "http://10.0.0.11:8080"}
	}
	r := get(t, Handler(Options{MemberOrigins: members}), http.MethodGet, "/")
	document := body(t, r)
	nonce := nonceOf(t, r)
	want := map[string]string{
		"Cache-Control": "no-cache",
		"Content-Type":  "text/html; charset=utf-8",
		"Content-Security-Policy": "default-src 'none'; script-src 'nonce-" + nonce + "'; style-src 'nonce-" + nonce +
			"'; img-src 'self'; " +
			"connect-src 'self' http://10.0.0.11:8080 http://10.0.0.12:8080; base-uri 'none'; form-action 'none'; " +
			"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
	}
	for name, value := range want {
		if got := r.Header.Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	if !bytes.Contains(document, []byte(`<meta name="members" content="http://10.0.0.11:8080 http://10.0.0.12:8080">`)) {
		t.Error("the page lacks the members that it may ask")
	}
}

// nonceOf returns the nonce by which a document's policy lets scripts run.
func nonceOf(t *testing.T, r *http.Response) string {
	t.Helper()
	_, rest, _ := strings.Cut(r.Header.Get("Content-Security-Policy"), "script-src 'nonce-")
	nonce, _, ok := strings.Cut(rest, "'")
	if !ok || len(nonce) < 22 { // 128 bits in base64
		t.Fatalf("the policy has no nonce: %s", r.Header.Get("Content-Security-Policy"))
	}
	return nonce
}

// What clients store has the page's origin, so no script or style may run because of its origin, and the nonce must
// not be predictable.
func TestScriptsRunByTheNonceOfOneLoad(t *testing.T) {
	t.Parallel()
	handler := Handler(Options{})
	first, second := get(t, handler, http.MethodGet, "/"), get(t, handler, http.MethodGet, "/")
	nonce := nonceOf(t, first)
	if nonce == nonceOf(t, second) {
		t.Error("two loads have one nonce")
	}
	for directive := range strings.SplitSeq(first.Header.Get("Content-Security-Policy"), "; ") {
		name, sources, _ := strings.Cut(directive, " ")
		if (name == "script-src" || name == "style-src") && sources != "'nonce-"+nonce+"'" {
			t.Errorf("%s also lets in %s", name, sources)
		}
	}
	document := string(body(t, first))
	for _, tag := range []string{"<script ", `<link rel="stylesheet" `, `<link rel="modulepreload" `} {
		parts := strings.Split(document, tag)
		if len(parts) == 1 {
			t.Errorf("the document has no %s", tag)
		}
		for _, part := range parts[1:] {
			if attributes, _, _ := strings.Cut(part, ">"); !strings.Contains(attributes, `nonce="`+nonce+`"`) {
				t.Errorf("a %sis without the nonce: %s", tag, attributes)
			}
		}
	}
	if strings.Contains(document, "NONCE") {
		t.Error("a place for the nonce is left open")
	}
}

func TestAnAddressCannotBreakOutOfThePolicy(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"http://h1:8080":                      "http://h1:8080",
		"https://node-1.ns.svc.cluster.local": "https://node-1.ns.svc.cluster.local",
		"http://h1:8080/path?query#fragment":  "http://h1:8080",
		"http://h1; script-src *":             "",
		"http://h1\" onload=\"x":              "",
		"http://*":                            "",
		"javascript:alert(1)":                 "",
		"ftp://h1":                            "",
		"http://":                             "",
		"h1:8080":                             "",
		"http://[2001:db8::1]:8080":           "", // a policy has no syntax for it
		"http://user:password@h1:8080":        "http://h1:8080",
		"http://h1, http://h2":                "",
		"":                                    "",
		"http://xn--bcher-kva.example:8080/x/y/z": "http://xn--bcher-kva.example:8080",
	} {
		if got, _ := originOf(address); got != want {
			t.Errorf("the origin of %q is %q, want %q", address, got, want)
		}
	}
}

func TestEveryFileThatThePageNamesIsServed(t *testing.T) {
	t.Parallel()
	h := Handler(Options{})
	names := regexp.MustCompile(`(?:href|src)="([^"]+)"`).FindAllSubmatch(body(t, get(t, h, http.MethodGet, "/")), -1)
	if len(names) < 30 {
		t.Fatalf("the page names %d files only", len(names))
	}
	for _, name := range names {
		r := get(t, h, http.MethodGet, string(name[1]))
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name[1], r.Status)
		}
		if got := r.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s: Cache-Control is %q", name[1], got)
		}
		if r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s may be sniffed", name[1])
		}
	}
}

func TestImportsLeadToFiles(t *testing.T) {
	t.Parallel()
	p := loadPage()
	imports := regexp.MustCompile(`(?:from|import)\s*['"]([^'"]+)['"]`)
	for name, file := range p.files {
		if !isModule(name) {
			continue
		}
		for _, found := range imports.FindAllSubmatch(file.raw, -1) {
			target := string(found[1])
			if !strings.HasPrefix(target, "./") && !strings.HasPrefix(target, "../") {
				t.Errorf("%s imports %q, which no browser can resolve", name, target)
				continue
			}
			resolved := strings.TrimPrefix(joinURL(name, target), "/")
			if _, ok := p.files[resolved]; !ok {
				t.Errorf("%s imports %q, which is not served", name, target)
			}
		}
	}
}

// joinURL resolves a relative import as a browser does.
func joinURL(from, target string) string {
	parts := strings.Split(from, "/")
	parts = parts[:len(parts)-1]
	for _, step := range strings.Split(target, "/") {
		switch step {
		case ".":
		case "..":
			parts = parts[:len(parts)-1]
		default:
			parts = append(parts, step)
		}
	}
	return strings.Join(parts, "/")
}

func TestCompressedForThoseWhoTakeIt(t *testing.T) {
	t.Parallel()
	h := Handler(Options{})
	name := "/ui/" + loadPage().version + "/third_party/preact.mjs"
	plain := body(t, get(t, h, http.MethodGet, name))
	for accept, zipped := range map[string]bool{
		"gzip": true, "deflate, gzip, br": true, "GZIP;q=0.5": true, "": false, "br": false, "gzip;q=0": false,
		"gzip; q=0": false,
	} {
		r := get(t, h, http.MethodGet, name, "Accept-Encoding", accept)
		got := body(t, r)
		if is := r.Header.Get("Content-Encoding") == "gzip"; is != zipped {
			t.Errorf("Accept-Encoding %q: compressed is %v, want %v", accept, is, zipped)
			continue
		}
		if zipped {
			reader, err := gzip.NewReader(bytes.NewReader(got))
			if err != nil {
				t.Fatal(err)
			}
			if got, err = io.ReadAll(reader); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, plain) {
			t.Errorf("Accept-Encoding %q: other bytes", accept)
		}
	}
}

func TestNothingElseIsServed(t *testing.T) {
	t.Parallel()
	h := Handler(Options{})
	version := loadPage().version
	for _, target := range []string{
		"/index.html", "/ui/", "/ui/" + version + "/", "/ui/" + version + "/index.html", "/ui/another/js/main.js",
		"/ui/" + version + "/third_party/SHA256SUMS", "/api/status",
	} {
		if r := get(t, h, http.MethodGet, target); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, want 404", target, r.Status)
		}
	}
	if r := get(t, h, http.MethodPost, "/"); r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST /: %s, want 405", r.Status)
	}
}

func TestHeadReturnsTheHeadersOfGet(t *testing.T) {
	t.Parallel()
	h := Handler(Options{})
	head, whole := get(t, h, http.MethodHead, "/"), get(t, h, http.MethodGet, "/")
	if a, b := head.Header.Get("Content-Length"), whole.Header.Get("Content-Length"); a != b || a == "" {
		t.Errorf("Content-Length is %q for HEAD and %q for GET", a, b)
	}
	if len(body(t, head)) > 0 {
		t.Error("HEAD has a body")
	}
}
