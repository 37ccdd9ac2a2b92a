package observation

import (
	"slices"
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

// A peer that was restarted counts its events anew, and may have more of them by then than before.
func TestTheEventsOfARestartedPeerAreNew(t *testing.T) {
	t.Parallel()
	l := newEventLog(time.Now)
	l.learn(2, []api.Event{{Seq: 1, Node: 2, AtMs: 10}, {Seq: 2, Node: 2, AtMs: 20}})
	l.learn(2, []api.Event{{Seq: 1, Node: 2, AtMs: 70}, {Seq: 2, Node: 2, AtMs: 80}, {Seq: 3, Node: 2, AtMs: 90}})
	var times []int64
	events, _ := l.since(0)
	for _, e := range events {
		times = append(times, e.AtMs)
	}
	if !slices.Equal(times, []int64{10, 20, 70, 80, 90}) {
		t.Errorf("the times are %v", times)
	}
}

func TestAPeerReportsItsOwnEventsOnly(t *testing.T) {
	t.Parallel()
	l := newEventLog(time.Now)
	l.learn(2, []api.Event{{Seq: 1, Node: 3}, {Seq: 2, Node: 2}, {Seq: 9, Node: 1}, {Seq: 3, Node: 2}})
	events, _ := l.since(0)
	for i, e := range events {
		if e.Node != 2 || e.Seq != uint64(i)+2 {
			t.Errorf("node 2 reports event %d of node %d", e.Seq, e.Node)
		}
	}
	if len(events) != 2 {
		t.Errorf("%d events, want 2", len(events))
	}
}

// The newest events are kept and shown, in their order, each with the next cursor. A reader gets each once.
func TestTheNewestEventsAreKept(t *testing.T) {
	t.Parallel()
	l := newEventLog(time.Now)
	if shown := l.shown(); shown == nil || len(shown) > 0 {
		t.Errorf("without events %#v are shown, want an empty list", shown)
	}
	_, more := l.since(0)
	const added = 5*eventRing + 7
	for range added {
		l.add(1, api.Event{})
	}
	select {
	case <-more:
	default:
		t.Error("a reader that waits is not woken")
	}
	check := func(what string, events []api.ObservedEvent, least, most int) {
		if len(events) < least || len(events) > most {
			t.Errorf("%s: %d events, want %d to %d", what, len(events), least, most)
		}
		for i, e := range events {
			if want := uint64(added - len(events) + 1 + i); e.Seq != want || e.Cursor != want {
				t.Fatalf("%s: event %d has the cursor %d, want %d", what, e.Seq, e.Cursor, want)
			}
		}
	}
	all, _ := l.since(0)
	check("kept", all, eventRing, 2*eventRing)
	check("shown", l.shown(), shownEvents, shownEvents)
	rest, _ := l.since(added - 3)
	check("after a cursor", rest, 3, 3)
	none, _ := l.since(added)
	check("after the last cursor", none, 0, 0)
	own := l.lastOwn()
	if len(own) != ownEvents || own[0].Seq != added-ownEvents+1 || len(l.own) > 2*eventRing {
		t.Errorf("%d of its %d own events are sent", len(own), len(l.own))
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
