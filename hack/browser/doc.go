// Package browser tests the page in a real Chromium: on a fake cluster, whose every state can be
// scripted, and on a real raftnode local. It is a separate module, so that users of Kontiki do not fetch the
// browser's protocol library.
package browser
