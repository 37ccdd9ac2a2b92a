package history_test

import (
	"errors"
	"testing"

	"github.com/kontiki-dev/kontiki/hack/lab/history"
	"github.com/kontiki-dev/kontiki/node/api"
)

func TestWhatIsNotSurelyWithoutEffectIsUnknown(t *testing.T) { // T49
	t.Parallel()
	for code, want := range map[api.Code]history.Outcome{
		api.CodeNoLeader:       history.Fail,
		api.CodeNotReady:       history.Fail,
		api.CodeOverloaded:     history.Fail,
		api.CodeUnreachable:    history.Fail,
		api.CodeConflict:       history.Fail,
		api.CodeOutcomeUnknown: history.Unknown,
		api.CodeInternal:       history.Unknown,
		"an unsupported code":  history.Unknown,
	} {
		if got := history.OutcomeOf(&api.Error{Code: code}); got != want {
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
