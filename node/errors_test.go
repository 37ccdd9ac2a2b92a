package node

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestEachErrorHasItsCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err          error
		peer, client api.Code
	}{
		{ErrNoLeader, "no_leader", "no_leader"},
		{ErrNotLeader, "not_leader", "no_leader"},
		{ErrNotSent, "outcome_unknown", "no_leader"},
		{ErrNotReady, "not_ready", "not_ready"},
		{ErrOverloaded, "overloaded", "overloaded"},
		{errNoRoom, "overloaded", "overloaded"},
		{errResultLost, "outcome_unknown", "outcome_unknown"},
		{ErrOutcomeUnknown, "outcome_unknown", "outcome_unknown"},
		{ErrBadTarget, "bad_target", "invalid"},
		{raft.ErrDiverged, "diverged", ""},
		{ErrBadCommand, "bad_command", "invalid"},
		{ErrTermChanged, "term_changed", "conflict"},
		{ErrBadIdentity, "outcome_unknown", "invalid"},
		{ErrIdentityTaken, "identity_taken", "conflict"},
		{ErrNoIdentity, "no_identity", "not_ready"},
		{ErrConfigIndex, "config_index", "conflict"},
		{&ConfigIndexError{}, "config_index", "conflict"},
		{ErrBadChange, "bad_change", "invalid"},
		{ErrChangeRefused, "change_refused", "conflict"},
		{context.Canceled, "outcome_unknown", "outcome_unknown"},
		{context.DeadlineExceeded, "outcome_unknown", "outcome_unknown"},
		{errors.New("another"), "outcome_unknown", ""},
		{nil, "", ""},
	} {
		if peer, client := PeerCode(c.err), ClientCode(c.err); peer != c.peer || client != c.client {
			t.Errorf("%v is %q to a peer and %q to a client, want %q and %q", c.err, peer, client, c.peer, c.client)
		}
	}
}

func TestAnErrorKeepsItsMeaningOnThePeerPort(t *testing.T) {
	t.Parallel()
	for _, c := range codes {
		if c.peer == "" {
			continue
		}
		if got := ErrorFromPeer(PeerCode(fmt.Errorf("wrapped: %w", c.err))); !errors.Is(got, c.err) {
			t.Errorf("%v becomes %v", c.err, got)
		}
	}
	if err := ErrorFromPeer(""); err != nil {
		t.Errorf("no code becomes %v", err)
	}
	if err := ErrorFromPeer("something new"); !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("an unknown code becomes %v", err)
	}
}
