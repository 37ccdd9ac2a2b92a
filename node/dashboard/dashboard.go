package dashboard

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Options configure which origins the page may use.
type Options struct {
	// MemberOrigins lists the API addresses of the current members, http://host:8080. The page fails over to them when
	// its own node fails, so the policy that is sent with the page must name them. It is called once per load of the
	// page and may be nil. Addresses that are not http or https origins are left out.
	MemberOrigins func() []string
}

// assetPrefix is the path of everything but the document.
const assetPrefix = "/ui/"

// Handler serves the page: GET / is the document, which clients revalidate each time, and /ui/<version>/... are its
// files, cached without limit, because their path changes with them. Every other path is 404.
func Handler(opts Options) http.Handler {
	p := loadPage()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-cache")
		members, nonce := strings.Join(origins(opts.MemberOrigins), " "), rand.Text()
		header.Set("Content-Security-Policy", policy(members, nonce))
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		serve(w, r, newAsset("index.html", complete(p.index.raw, members, nonce)))
	})
	mux.HandleFunc("GET "+assetPrefix+"{version}/{name...}", func(w http.ResponseWriter, r *http.Request) {
		file, ok := p.files[r.PathValue("name")]
		if !ok || r.PathValue("version") != p.version {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		serve(w, r, file)
	})
	return mux
}

// serve writes one file, compressed if the client takes that.
func serve(w http.ResponseWriter, r *http.Request, a asset) {
	header := w.Header()
	header.Set("Content-Type", a.contentType)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Vary", "Accept-Encoding")
	body := a.raw
	if a.zipped != nil && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		header.Set("Content-Encoding", "gzip")
		body = a.zipped
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // the client is gone
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3) as far as browsers and curl use it.
func acceptsGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			quality := strings.ReplaceAll(weight, " ", "")
			return quality != "q=0" && quality != "q=0.0"
		}
	}
	return false
}

// complete fills in the values of one load of the page. The document lists the members that its policy allows: the
// page cannot read its own policy, and a violation to find out would look like an attack in the browser's console.
func complete(index []byte, members, nonce string) []byte {
	index = bytes.ReplaceAll(index, []byte("NONCE"), []byte(nonce))
	return bytes.Replace(index, []byte("MEMBERS"), []byte(members), 1)
}

// policy is the Content-Security-Policy of the page: nothing inline, nothing from other hosts, no HTML made from
// strings. Scripts and styles run by the nonce of this load, and so do the modules that they import; 'self' would
// admit what clients store below /api/v1/kv/, which has the same origin.
func policy(members, nonce string) string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'nonce-" + nonce + "'",
		"style-src 'nonce-" + nonce + "'",
		"img-src 'self'",
		strings.TrimSpace("connect-src 'self' " + members),
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; ")
}

// origins returns the members' origins that a policy can name, sorted and without duplicates.
func origins(members func() []string) []string {
	if members == nil {
		return nil
	}
	var list []string
	for _, address := range members() {
		if origin, ok := originOf(address); ok {
			list = append(list, origin)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// originOf cuts an address down to its origin. It rejects what would break out of the policy, and IPv6 literals, for
// which a policy has no syntax (CSP level 3, section 2.3.1, host-source): browsers would report and ignore them.
func originOf(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return "", false
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && ip.Is6() {
		return "", false
	}
	if strings.ContainsFunc(u.Host, func(r rune) bool { return !isHostRune(r) }) {
		return "", false
	}
	return u.Scheme + "://" + u.Host, true
}

func isHostRune(r rune) bool {
	return r == '.' || r == '-' || r == ':' || r == '_' ||
		('0' <= r && r <= '9') || ('a' <= r && r <= 'z') || ('A' <= r && r <= 'Z')
}
