// Package operatorlog checks the operator's log in JSON for lines that must not be in it.
package operatorlog

import (
	"encoding/json"
	"fmt"
	"strings"
)

// refusal is in every message of an API server's status with the reason Forbidden, whether by authorization or by
// admission: apierrors.NewForbidden creates them all, and a log has only the message.
const refusal = " is forbidden: "

// Fault returns what is wrong with a line, or "": a request that the API server forbade, because then the operator's
// role is too small or it requested too much; a panic; or a line that is not JSON.
func Fault(line []byte) string {
	text := strings.TrimSpace(string(line))
	if text == "" {
		return ""
	}
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return "not JSON: " + text
	}
	return find(fields)
}

// find looks for a fault in a decoded value, at any depth.
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

// IsError reports whether a line logs an error: not necessarily a fault of the operator's, but worth printing.
func IsError(line []byte) bool {
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return false
	}
	return strings.EqualFold(fmt.Sprint(fields["level"]), "error")
}
