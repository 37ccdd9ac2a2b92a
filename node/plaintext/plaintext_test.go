package plaintext

import (
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"
)

func TestTextIsPrintedAsItselfAndBounded(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                      "",
		"node 2 at http://é":    "node 2 at http://é",
		"\x1b[31mred\nline\x00": "\uFFFD[31mred\uFFFDline\uFFFD",
		"\u202eleft\u009b":      "\uFFFDleft\uFFFD",
		"a\xffb":                "a\uFFFDb",
	} {
		if got := Of(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{strings.Repeat("é", 1000), strings.Repeat("\x00", 1000), strings.Repeat("x", 1000)} {
		if got := Of(text); len(got) > Most || len(got) < Most-3 || !utf8.ValidString(got) {
			t.Errorf("%d bytes became %d: %q", len(text), len(got), got)
		}
	}
	if got := Bounded("abcdef", 3); got != "abc" {
		t.Errorf("got %q, want the first 3 bytes", got)
	}
}

// What is kept of a long text does not keep the rest of it: a peer may send megabytes.
func TestAShortenedTextHasMemoryOfItsOwn(t *testing.T) { // H4
	t.Parallel()
	for _, text := range []string{strings.Repeat("x", 1000), strings.Repeat("é", 1000)} {
		if got := Of(text); unsafe.StringData(got) == unsafe.StringData(text) {
			t.Errorf("%d bytes of a text of %d are a part of it", len(got), len(text))
		}
	}
}
