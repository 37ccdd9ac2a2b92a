package history

import "github.com/kontiki-dev/kontiki/node/api"

// OutcomeOf tells what an answer leaves open, nil being a success. What is not surely without effect is unknown (trap
// T49).
func OutcomeOf(err error) Outcome {
	if err == nil {
		return OK
	}
	switch code := api.ErrorCode(err); {
	case code.NothingDone(), code == api.CodeCanceled, code == api.CodeInvalid, code == api.CodeConflict,
		code == api.CodeQuotaExceeded, code == api.CodeTooLarge, code == api.CodePreconditionFailed:
		return Fail
	}
	return Unknown
}
