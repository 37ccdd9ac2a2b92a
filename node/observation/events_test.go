package observation

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/plaintext"
)

func TestClockSetBackDoesNotRepeatAPeersEvents(t *testing.T) {
	t.Parallel()
	l := newEventLog(time.Now)
	sent := []api.Event{{Seq: 1, Node: 2, AtMs: 5000}, {Seq: 2, Node: 2, AtMs: 1000}}
	for range 3 {
		l.learn(2, sent)
	}
	if got, _ := l.since(0); len(got) != 2 {
		t.Errorf("%d events from a peer that sent 2", len(got))
	}
	l.learn(2, []api.Event{{Seq: 1, Node: 2, AtMs: 7000}}) // it was restarted
	if got, _ := l.since(0); len(got) != 3 {
		t.Errorf("%d events, want that of the new run as the third", len(got))
	}
}

// A peer's status is kept for long, so it must not fill the memory, whatever it contains.
func TestWhatPeersTellIsBounded(t *testing.T) { // H4
	t.Parallel()
	long, votes := strings.Repeat("é", 1<<16), make([]uint64, 1<<16)
	var sent []api.Event
	for seq := range uint64(10 * eventRing) {
		sent = append(sent, api.Event{
			Seq: seq + 1, Node: 2, Kind: api.EventKind(long), Role: long, Reason: long, Votes: votes,
		})
	}
	l := newEventLog(time.Now)
	l.learn(2, sent)
	events, _ := l.since(0)
	if len(events) != ownEvents {
		t.Fatalf("%d events are kept, want the last %d", len(events), ownEvents)
	}
	for _, e := range events {
		for _, text := range []string{string(e.Kind), e.Role, e.Reason} {
			if len(text) > plaintext.Most || !utf8.ValidString(text) {
				t.Fatalf("a text of %d bytes is kept: %q", len(text), text)
			}
		}
		if len(e.Votes) != mostVotes {
			t.Fatalf("%d votes are kept", len(e.Votes))
		}
	}
}
