// Package browser tests the page in a real Chromium: on a cluster of its own making, whose every state can be
// scripted, and on a real raftnode local. It is a module of its own, so that nobody who uses Kontiki fetches the
// browser's protocol library.
package browser
