package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestProfilesAreForLoopbackHostsOnly(t *testing.T) { // DNS rebinding
	t.Parallel()
	served := profiles()
	for _, c := range []struct {
		host, header, value string
		status              int
	}{
		{"localhost:6060", "", "", 200},
		{"127.0.0.1:6060", "", "", 200},
		{"[::1]:6060", "", "", 200},
		{"localhost:6060", "Sec-Fetch-Site", "none", 200},
		{"localhost:6060", "Sec-Fetch-Site", "same-origin", 200},
		{"evil.example:6060", "", "", 403},
		{"10.0.0.5:6060", "", "", 403},
		{"", "", "", 403},
		{"localhost.evil.example", "", "", 403},
		{"localhost:6060", "Origin", "http://evil.example", 403},
		{"localhost:6060", "Sec-Fetch-Site", "cross-site", 403},
		{"localhost:6060", "Sec-Fetch-Site", "same-site", 403},
	} {
		r := httptest.NewRequest(http.MethodGet, "/debug/pprof/", http.NoBody)
		r.Host = c.host
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		w := httptest.NewRecorder()
		served.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("Host %q, %s %q: %d, want %d", c.host, c.header, c.value, w.Code, c.status)
		}
	}
}
