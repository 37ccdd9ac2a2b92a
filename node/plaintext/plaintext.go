// Package plaintext makes text that another program sent fit for logs, headers and terminals.
package plaintext

import (
	"strings"
	"unicode"
)

// Most is how many bytes of a text Of returns at most.
const Most = 256

// Of returns foreign text as it may stand in a log, a header or on a terminal: at most Most bytes, and U+FFFD for each
// character that is not printed as itself.
func Of(text string) string { return Bounded(text, Most) }

// Bounded is Of for at most so many bytes. What it returns of a longer text does not hold the memory of the rest.
func Bounded(text string, most int) string {
	plain := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text[:min(len(text), most)])
	if len(plain) > most {
		plain = strings.ToValidUTF8(plain[:most], "")
	}
	if len(text) > most {
		plain = strings.Clone(plain)
	}
	return plain
}
