package history

import "github.com/kontiki-dev/kontiki/node/client"

// OutcomeOf tells what an answer leaves open, nil being a success. What is not surely without effect is unknown (trap
// T49).
func OutcomeOf(err error) Outcome {
	if err == nil {
		return OK
	}
	switch code := client.ErrorCode(err); {
	case code.NothingDone(), code == client.CodeCanceled, code == client.CodeInvalid, code == client.CodeConflict,
		code == client.CodeQuotaExceeded, code == client.CodeTooLarge, code == client.CodePreconditionFailed:
		return Fail
	}
	return Unknown
}
