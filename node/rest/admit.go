package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
)

// takes is what a route supports of a request beside its path and its body. Everything else that would change what the
// request means is refused: a condition or a time to live must not be ignored silently.
type takes struct {
	parameters []string // of the query, each at most once
	conditions []string // header names in their canonical form
	advice     func(header string) string
}

// readParameters are the parameters of every read: of a GET of a key or a range, and of a batch.
var readParameters = []string{api.ParamConsistency, api.ParamMaxStale, api.ParamMinRevision}

var (
	takesNothing = &takes{}
	takesReads   = &takes{parameters: keyParameters, conditions: []string{"If-None-Match"}}
	takesList    = &takes{parameters: listParameters}
	takesPut     = &takes{conditions: []string{"If-Match", "If-None-Match"}}
	takesRange   = &takes{parameters: rangeParameters}
	takesTxn     = &takes{advice: inTheTxn}
	takesDelete  = &takes{conditions: []string{"If-Match"}}
	takesCommand = &takes{advice: inTheCommand}
	takesBatch   = &takes{parameters: readParameters, advice: inTheCommand}
	takesBackup  = &takes{parameters: readParameters}
	takesLogs    = &takes{parameters: []string{api.ParamFrom, api.ParamLimit}}
	takesMembers = &takes{parameters: []string{api.ParamConsistency}}
	takesChange  = &takes{advice: inTheChange}
	takesRemoval = &takes{
		parameters: []string{api.ParamExpectedConfigIndex, api.ParamForce}, advice: inTheQuery,
	}
	takesEvents = &takes{parameters: []string{api.ParamSince}}
)

// admit returns a handler that refuses what a route does not support. It runs before the handler of each API route.
func (s *Server) admit(t *takes, name string) gin.HandlerFunc {
	return func(c *gin.Context) {
		err := t.checkHeaders(c.Request, name)
		raw := c.Request.URL.RawQuery
		usual := raw == "" || raw == onlyStale && slices.Contains(t.parameters, api.ParamConsistency)
		if err == nil && !usual {
			_, err = readParams(raw, t.parameters)
		}
		if err != nil {
			s.fail(c, err)
			c.Abort()
		}
	}
}

// checkHeaders returns an error for a header that changes what a request means if the route does not support it, and
// for one with two values where there must be one.
func (t *takes) checkHeaders(r *http.Request, name string) error {
	for header, values := range r.Header {
		switch {
		case slices.Contains(t.conditions, header):
		case isCondition(header, r.Method):
			return t.refusal(header, name)
		case header == "Content-Encoding" && !allIdentity(values):
			return invalid("the header Content-Encoding is not supported: send the body as it is, without an encoding")
		case header == "Content-Range":
			return invalid("the header Content-Range is not supported: send the whole body, without a range")
		case len(values) > 1 && (header == "Content-Type" || header == "Last-Event-Id"):
			return invalid("the header " + header + " comes " + strconv.Itoa(len(values)) + " times; send it once")
		}
	}
	return nil
}

// isCondition reports whether a header makes a request depend on something. A read may ignore the conditions that only
// save an answer (RFC 9110, sections 13.1.2, 13.1.3 and 13.1.5).
func isCondition(header, method string) bool {
	if header == "Idempotency-Key" {
		return true
	}
	if !strings.HasPrefix(header, "If-") && header != "If" {
		return false
	}
	if method != http.MethodGet && method != http.MethodHead {
		return true
	}
	return header != "If-None-Match" && header != "If-Modified-Since" && header != "If-Range"
}

// allIdentity reports whether a Content-Encoding header names no encoding.
func allIdentity(values []string) bool {
	return !slices.ContainsFunc(values, func(value string) bool {
		value = strings.TrimSpace(value)
		return value != "" && !strings.EqualFold(value, "identity")
	})
}

func (t *takes) refusal(header, name string) error {
	right := "leave it out"
	switch {
	case t.advice != nil && t.advice(header) != "":
		right = t.advice(header)
	case len(t.conditions) > 0:
		right = "it takes " + listed(t.conditions)
	}
	return invalid(name + " does not take the header " + header + "; " + right)
}

// inTheCommand returns the field of a command to use instead of a header.
func inTheCommand(header string) string {
	switch header {
	case "If-Match":
		return `give the command the field "if_revision", like "if_revision":42`
	case "If-None-Match":
		return `give the command the field "if_absent", like "if_absent":true`
	}
	return ""
}

// inTheTxn returns the part of a transaction to use instead of a header.
func inTheTxn(header string) string {
	switch header {
	case "If-Match":
		return `give a comparison, like "if":[{"key":"a","revision":{"eq":42}}]`
	case "If-None-Match":
		return `give a comparison, like "if":[{"key":"a","exists":false}]`
	}
	return ""
}

// inTheChange returns the field of a change of the members to use instead of a header.
func inTheChange(header string) string {
	if header == "If-Match" {
		return `give the body the field "expected_config_index", like "expected_config_index":42`
	}
	return ""
}

// inTheQuery returns the parameter of a removal to use instead of a header.
func inTheQuery(header string) string {
	if header == "If-Match" {
		return "give the query the parameter expected_config_index, like ?expected_config_index=42"
	}
	return ""
}

// readParams parses a query, which may have the known parameters, each once.
func readParams(raw string, known []string) (url.Values, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, invalid("the query cannot be read: " + err.Error())
	}
	for name, given := range values {
		switch {
		case !slices.Contains(known, name) && len(known) == 0:
			return nil, invalid("unknown parameter " + quoted(name) + "; this route takes none")
		case !slices.Contains(known, name):
			return nil, invalid("unknown parameter " + quoted(name) + "; this route takes " + listed(known))
		case len(given) > 1:
			return nil, invalid("the parameter " + name + " comes " + strconv.Itoa(len(given)) + " times; give it once")
		}
	}
	return values, nil
}

// listed returns names as an enumeration in a sentence.
func listed(names []string) string {
	if last := len(names) - 1; last > 0 {
		return strings.Join(names[:last], ", ") + " and " + names[last]
	}
	return names[0]
}

// quoted returns client input in quotation marks, shortened for a message.
func quoted(text string) string { return strconv.Quote(clip(text)) }
