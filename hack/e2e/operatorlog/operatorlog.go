// Package operatorlog reads the operator's log in JSON for what must not be in it.
package operatorlog

import (
	"encoding/json"
	"fmt"
	"strings"
)

// refusal is in every message of an API server's status with the reason Forbidden, be it of authorization or of
// admission: apierrors.NewForbidden makes them all, and a log has nothing but the message.
const refusal = " is forbidden: "

// Fault gives what is wrong with a line, or "": a request that the API server forbade, because then the operator's role
// is too small or it asked for too much; a panic; a line that is no JSON, which no machine could read.
func Fault(line []byte) string {
	text := strings.TrimSpace(string(line))
	if text == "" {
		return ""
	}
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return "no JSON: " + text
	}
	return find(fields)
}

// find looks for a fault in a decoded value, however deep it lies.
func find(value any) string {
	switch v := value.(type) {
	case string:
		switch {
		case strings.Contains(v, refusal):
			return "forbidden: " + v
		case strings.Contains(v, "panic:") || strings.HasPrefix(v, "Observed a panic"):
			return "panic: " + v
		}
	case map[string]any:
		for _, inner := range v {
			if found := find(inner); found != "" {
				return found
			}
		}
	case []any:
		for _, inner := range v {
			if found := find(inner); found != "" {
				return found
			}
		}
	}
	return ""
}

// IsError reports whether a line says that something failed: not a fault of the operator's by itself, but worth a look.
func IsError(line []byte) bool {
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return false
	}
	return strings.EqualFold(fmt.Sprint(fields["level"]), "error")
}
