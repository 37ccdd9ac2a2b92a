package jsontext

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// equalTrees compares two JSON values by the trees that encoding/json makes of them: what SumOf has to agree with.
func equalTrees(t testing.TB, a, b []byte) bool {
	t.Helper()
	return reflect.DeepEqual(treeOf(t, a), treeOf(t, b))
}

func treeOf(t testing.TB, text []byte) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return withDecimals(tree)
}

// withDecimals replaces the numbers of a tree by what they are worth.
func withDecimals(tree any) any {
	switch tree := tree.(type) {
	case json.Number:
		return decimalOf(string(tree))
	case []any:
		for i := range tree {
			tree[i] = withDecimals(tree[i])
		}
	case map[string]any:
		for name := range tree {
			tree[name] = withDecimals(tree[name])
		}
	}
	return tree
}

func TestSumsAgreeWithTrees(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long ", 20)
	texts := []string{
		`0`, `-0`, `0.0e5`, `10`, `1e1`, `100`, `-100`, `1`, `-1`, `0.1`, `10e-2`, `1e99999999999999999999`,
		`"a"`, `"\u0061"`, `"\n"`, `"\u000a"`, `"\u000A"`, `"\b\f\r\t\/\\\""`, `"\u0008\u000c\u000d\u0009/\u005c\u0022"`,
		`"\ud83d\ude00"`, `"😀"`, `"\ud83d"`, `"\ude00"`, `"\ud83d\ud83d"`, `"\ufffd"`, `"\ud83dx"`, `"\ud83d\n"`,
		`[]`, `[ ]`, `{}`, `{ }`, `[[]]`, `[{}]`, `[1,2]`, `[12]`, `[1,[2]]`, `[[1],2]`, `["1,2"]`,
		`{"a":1,"b":2}`, `{"b":2,"a":1}`, `{ "b" : 2 , "a" : 3 , "a" : 1 }`, `{"a":1,"b":2,"b":2.0}`, `{"a":{"b":1}}`,
		`{"a":"` + long + `","b":1}`, `{"b":1,"a":"` + long + `"}`, `{"b":1,"a":"` + long + `."}`,
		`{"a":{"y":"` + long + `","x":[0]}}`, `{"a":{"x":[0.0],"y":"` + long + `"}}`, `{"\u0061":1,"b":2}`,
		`{"a":"e0"}`, `{"a":0}`, `{"a":"#"}`, `{"":0}`, `true`, `false`, `null`, `"true"`,
	}
	for _, a := range texts {
		for _, b := range texts {
			if got, want := SumOf([]byte(a)) == SumOf([]byte(b)), equalTrees(t, []byte(a), []byte(b)); got != want {
				t.Errorf("%s and %s have the same sum: %t", a, b, got)
			}
		}
	}
}

// longText is how long a long text is, in bytes.
const longText = 1 << 20

// nested returns JSON of about size bytes in which every object has to be put in order, levels deep.
func nested(levels, size int) string {
	pad := strings.Repeat("p", size/levels)
	return strings.Repeat(`{"b":{},"a":["`+pad+`",`, levels) + `0` + strings.Repeat(`]}`, levels)
}

// A deep nest of objects must not be moved as a whole once for each level.
func TestTheNormalFormCostsInProportionToTheText(t *testing.T) {
	t.Parallel()
	for what, text := range map[string]string{
		"objects in objects": nested(MaxDepth/2, longText),
		"many empty objects": "[" + strings.Repeat("{},", 300000) + "0]",
		"many members":       `{"z":0,` + strings.Repeat(`"a":{"b":0,"a":1},`, 50000) + `"y":0}`,
		"one long string":    `"` + strings.Repeat(`\u0061`, 150000) + `"`,
		"one long number":    strings.Repeat("9", longText),
	} {
		m := meaning{text: []byte(text)}
		m.value()
		if most := 2 * len(text); m.moved > most {
			t.Errorf("%s: %d bytes of text made arrange move %d, more than %d", what, len(text), m.moved, most)
		}
		if took, most := cap(m.out)+cap(m.sorted), 4*len(text); took > most {
			t.Errorf("%s: %d bytes of text took %d bytes of memory, more than %d", what, len(text), took, most)
		}
	}
}
