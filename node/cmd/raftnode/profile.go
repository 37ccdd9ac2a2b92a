package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// longestProfile bounds a profile over some time, with its answer, and mostProfiles the connections of the port.
	longestProfile = 5 * time.Minute
	mostProfiles   = 8
)

// serveProfiles serves the Go profiles (/debug/pprof/) on an address of their own until ctx ends: they cost
// time and show memory, so they never share a port with clients.
func serveProfiles(ctx context.Context, address string, log *slog.Logger) error {
	l, err := listen("--listen-debug", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: longestProfile,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
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
