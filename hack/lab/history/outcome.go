package history

import "github.com/kontiki-dev/kontiki/node/api"

// OutcomeOf returns the outcome of an operation from its error, nil being a success. An error that does not exclude an
// effect is unknown (trap T49).
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
