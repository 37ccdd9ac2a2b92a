package jsontext

import "strings"

// MediaType is the media type of JSON (RFC 8259, section 11).
const MediaType = "application/json"

// IsJSON reports whether a content type is JSON, with or without parameters.
func IsJSON(contentType string) bool { return IsMediaType(contentType, MediaType) }

// IsMediaType reports whether a content type is of the media type, which is in lower case, with or without parameters
// (RFC 9110, section 8.3.1).
func IsMediaType(contentType, media string) bool {
	if contentType == media {
		return true
	}
	name, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(name), media)
}
