package jsontext

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestListsAreSplitAtTheirCommas(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		`null`: nil, `[]`: nil, ` [ ] `: nil, `[1]`: {"1"}, "[\n 1 ,\t[2,[3,\"],\"]] , {\"a\\\"]\":[1,2]} ]": {
			"1", `[2,[3,"],"]]`, `{"a\"]":[1,2]}`,
		},
	} {
		var got []string
		l := List{Name: "list", Take: func(element []byte) error { got = append(got, string(element)); return nil }}
		if err := json.Unmarshal([]byte(text), &l); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
	l := List{Name: "things"}
	for _, text := range []string{`1`, `{}`, `"[]"`} {
		if err := json.Unmarshal([]byte(text), &l); err == nil || !strings.Contains(err.Error(), "things") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
