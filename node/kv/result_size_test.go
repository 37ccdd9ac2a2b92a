package kv

import (
	"strings"
	"testing"
)

// Memory for a response is charged before the response is built, so it must not be larger than JSONSize.
func TestJSONSizeBoundsTheValueThatACasFound(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"nothing": "", "plain": "abc", "escapes": "\"\\\n\r\t", "control characters": strings.Repeat("\x00\x1f", 500),
		"binary": strings.Repeat("\xff\x00", 1000), "not ASCII": strings.Repeat("é\u2028😀", 99),
		"long": strings.Repeat("x", 1<<20),
		"JSON": `{"a":[1,2.50,null,"\n"]}`, "JSON of lines": "[\n1,\n2\n]",
	} {
		for _, contentType := range []string{"", TypeJSON, "text/plain"} {
			r := Result{found: &found{value: []byte(value), contentType: contentType}}
			size, text := r.JSONSize(), r.JSON()
			if len(text) > size || size > 6*len(value)+8 {
				t.Errorf("%s as %q: %d bytes, and JSONSize is %d", name, contentType, len(text), size)
			}
		}
	}
	r := Result{Value: []byte("17")}
	if r.JSONSize() != len(r.JSON()) {
		t.Errorf("a value that was read has size %d", r.JSONSize())
	}
}

// JSONSize is called under the lock of the store: 4,000 refused comparisons of 45 bytes with a value of 1 MiB took
// six seconds of it.
func TestTheSizeOfALargeAnswerIsKnownWithoutALook(t *testing.T) {
	t.Parallel()
	for what, put := range largest() {
		s := New()
		put.Key = []byte("k")
		if err := put.Validate(); err != nil {
			t.Fatal(err)
		}
		s.applyText(1, put.AppendJSON(nil))
		for i := range uint64(2) {
			r := s.applyText(2+i, []byte(`{"op":"cas","key":"k","expected":"x","value":1}`))
			if r.found == nil || r.found.viewBytes != len(r.JSON()) || r.JSONSize() != len(r.JSON()) {
				t.Errorf("%s: the answer has %d bytes; JSONSize is %d", what, len(r.JSON()), r.JSONSize())
			}
			r.found.value = nil
			if r.JSONSize() != r.found.viewBytes {
				t.Errorf("%s: JSONSize reads the value", what)
			}
		}
	}
}
