package history_test

import (
	"errors"
	"testing"

	"github.com/kontiki-dev/kontiki/hack/lab/history"
	"github.com/kontiki-dev/kontiki/node/client"
)

func TestWhatIsNotSurelyWithoutEffectIsUnknown(t *testing.T) { // T49
	t.Parallel()
	for code, want := range map[client.Code]history.Outcome{
		client.CodeNoLeader:       history.Fail,
		client.CodeNotReady:       history.Fail,
		client.CodeOverloaded:     history.Fail,
		client.CodeUnreachable:    history.Fail,
		client.CodeConflict:       history.Fail,
		client.CodeOutcomeUnknown: history.Unknown,
		client.CodeInternal:       history.Unknown,
		"a code of the future":    history.Unknown,
	} {
		if got := history.OutcomeOf(&client.Error{Code: code}); got != want {
			t.Errorf("%s: got %s, want %s", code, got, want)
		}
	}
	if got := history.OutcomeOf(errors.New("no code at all")); got != history.Unknown {
		t.Errorf("an error without a code: got %s", got)
	}
	if got := history.OutcomeOf(nil); got != history.OK {
		t.Errorf("no error: got %s", got)
	}
}
