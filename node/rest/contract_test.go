package rest

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/api"

	"github.com/kontiki-dev/kontiki/node/kv"
)

func TestClientsSendValuesAsLongAsTheStoreTakes(t *testing.T) {
	t.Parallel()
	if api.MaxValueBytes != kv.MaxValueBytes {
		t.Errorf("clients send values of %d bytes, the store takes %d", api.MaxValueBytes, kv.MaxValueBytes)
	}
}

func TestErrorsKeepTheirMeaningOnTheWay(t *testing.T) {
	t.Parallel()
	for _, e := range []api.Error{
		{Code: api.CodePreconditionFailed, Message: "a \"quoted\"\n line \x00 and 🛶", Revision: 42},
		{Code: api.CodeTooLarge, Message: "m", Limit: 100},
		{Code: api.CodeNoLeader, Message: "m", Leader: 3},
	} {
		text := string(appendError([]byte(`{"error":`), &e)) + "}"
		if got := decode[api.ErrorBody](t, text).Error; *got != e {
			t.Errorf("got %+v, want %+v", *got, e)
		}
	}
}

func FuzzAppendString(f *testing.F) {
	for _, seed := range []string{
		"", "plain", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "é漢🛶\u2028", "\xff", "a\xe2\x82", "\xed\xa0\x80", "\ufffd",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted := appendString(nil, text)
		if other := appendString(nil, []byte(text)); string(other) != string(quoted) {
			t.Errorf("%q as bytes is %s, as a string %s", text, other, quoted)
		}
		var back string
		if err := json.Unmarshal(quoted, &back); err != nil || !utf8.Valid(quoted) {
			t.Fatalf("%q became %q: %v", text, quoted, err)
		}
		// encoding/json stands a replacement character in for each bad byte, and so do we.
		if back != string([]rune(text)) {
			t.Errorf("%q became %q", text, back)
		}
		if strings.ContainsAny(string(quoted), "\n\r") {
			t.Errorf("%q is more than one line", text)
		}
	})
}
