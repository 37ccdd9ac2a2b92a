package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"golang.org/x/net/netutil"

	"github.com/kontiki-dev/kontiki/node"
)

const (
	// longestProfile bounds the duration of a profile, with its response, and mostProfiles the connections of the
	// port.
	longestProfile = 5 * time.Minute
	mostProfiles   = 8
)

// serveProfiles serves the Go profiles (/debug/pprof/) on a separate address until ctx ends: they take time and
// expose memory, so they never share a port with clients.
func serveProfiles(ctx context.Context, address string, log *slog.Logger) error {
	l, err := listen("--listen-debug", address)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: profiles(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: longestProfile, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	l = netutil.LimitListener(l, mostProfiles)
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() {
		if err := server.Serve(l); err != http.ErrServerClosed {
			log.Error("the server of the profiles ended", "error", err)
		}
	}()
	return nil
}

// profiles serves the profiles, to loopback Hosts only.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return onlyFromHere(mux)
}

// onlyFromHere refuses requests whose Host is no loopback name, and those that a web page sends: a profile exposes
// memory, and a name that an attacker's DNS resolves to this machine would let a page read it (DNS rebinding).
// Through a tunnel the Host is localhost.
func onlyFromHere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site := r.Header.Get("Sec-Fetch-Site")
		switch {
		case !node.IsLoopbackHost(node.HostOf(r.Host)):
			http.Error(w, "profiles are only for loopback Hosts; use localhost, over a tunnel if need be", http.StatusForbidden)
		case r.Header.Get("Origin") != "", site != "" && site != "none" && site != "same-origin":
			http.Error(w, "a page of another origin may not ask for profiles", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
