package client

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// errForeign is the cause of an error whose answer is no node's: that of a proxy between, or another server.
var errForeign = errors.New("the answer is not a Kontiki node's")

// foreignAnswer is the cause of such an error, with the status of the answer.
type foreignAnswer struct{ status string }

func (f *foreignAnswer) Error() string { return errForeign.Error() + ": " + f.status }

// Is makes the cause an errForeign.
func (f *foreignAnswer) Is(target error) bool { return target == errForeign }

// ForeignStatus returns the status, like 403 Forbidden, of the answer that made err, if it was not a node's but that of
// a proxy or another server; empty otherwise.
func ForeignStatus(err error) string {
	if f, ok := errors.AsType[*foreignAnswer](err); ok {
		return f.status
	}
	return ""
}

// isForeign reports whether the error stands for an answer that is no node's.
func isForeign(err *api.Error) bool { return errors.Is(err.Cause, errForeign) }

// isAnsweredWith reports whether a node answers with this code under this status. Whatever else an answer carries is
// not of the contract: a proxy has error bodies of its own, and the client's own codes are never on the wire.
func isAnsweredWith(code api.Code, status int) bool {
	return code.IsAnsweredOn(api.APIPort) && code.Status() == status
}

// cannotServe reports whether a node that answers with this code sends its clients to another node.
func cannotServe(code api.Code) bool { return code == api.CodeNoLeader || code == api.CodeNotReady }

// isNodes reports whether an answer is a node's: each carries the node's term.
func isNodes(header http.Header) bool {
	_, err := strconv.ParseUint(header.Get(api.HeaderTerm), 10, 64)
	return err == nil
}

// refusal makes an Error of an endpoint's answer that is not a success. The server answers not_found for keys and for
// routes, but only for a key with the consistency of its read.
func (e *endpoint) refusal(response *http.Response, body []byte) *api.Error {
	err := errorOf(response, body)
	if failed := failedChecks(body); isForeign(err) && failed != "" && isNodes(response.Header) {
		return &api.Error{Code: api.CodeNotReady, Message: failed}
	}
	if err.Code == api.CodeNotFound && response.Header.Get(api.HeaderConsistency) == "" {
		return &api.Error{Code: api.CodeNoRoute, Message: e.name() + ": " + err.Message}
	}
	if isForeign(err) {
		err.Message = e.name() + ": " + err.Message
	}
	return err
}

// failedChecks returns what is wrong according to a node's probe, "" if the body is not a probe's: a line for each
// check that failed, like "[-]leader failed: no leader is known".
func failedChecks(body []byte) string {
	var failed []string
	for line := range strings.Lines(string(body)) {
		if _, why, found := strings.Cut(strings.TrimSpace(line), " failed: "); found && strings.HasPrefix(line, "[-]") {
			failed = append(failed, why)
		}
	}
	return strings.Join(failed, "; ")
}

// maxRetryAfter bounds what a server may ask for: more than any call waits, and no sum of times with it overflows.
const maxRetryAfter = time.Hour

// errorOf makes an Error of an answer that is not a success. Only our own error code, under its own status and with the
// node's term, decides what became of the request. Of every other answer nothing is known, with any status and body: a
// proxy answers 502, 503 or 504 after it has passed the request on, 408 and 429 also after it has done so once and
// begun again, and 404 where a key exists, and its body may have our form and codes.
func errorOf(response *http.Response, body []byte) *api.Error {
	var b api.ErrorBody
	err := json.Unmarshal(body, &b)
	if err != nil || b.Error == nil || !isAnsweredWith(b.Error.Code, response.StatusCode) || !isNodes(response.Header) {
		b.Error = &api.Error{Code: api.CodeOutcomeUnknown, Cause: &foreignAnswer{response.Status}, Message: "the answer " +
			strconv.Quote(response.Status) + " is not a Kontiki node's; a proxy or another server sent it"}
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		b.Error.RetryAfter = time.Duration(min(seconds, int(maxRetryAfter/time.Second))) * time.Second
	}
	return b.Error
}
