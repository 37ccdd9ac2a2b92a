package kv

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzJSON checks that the checker of embedded values accepts what encoding/json accepts, on one line, in UTF-8 and
// without outer white space.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{
		`0`, `-0`, `01`, `-`, `1.`, `.5`, `1.5e+09`, `1E-2`, `1e`, `1e+`, `true`, `tru`, `false`, `null`, `nul`,
		`""`, `"\u12aF"`, `"\u12a"`, `"\x"`, `"\`, `"é"`, "\"\xff\"", "\"\x1f\"", "\"\n\"", `"12345678\"`,
		`[]`, `[ 1 ,	2 ]`, `[1,]`, `[,1]`, `[1`, `{}`, `{"a":1, "a" : 2}`, `{"a"}`, `{a:1}`, `{"a":1,}`, "[\n1]",
		` 1`, `1 `, ``, `[] []`, `}`, `12345678`, `"1234567` + "\u007f" + `89"`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want := json.Valid(text) && utf8.Valid(text)
		for _, c := range text {
			want = want && c != '\n' && c != '\r'
		}
		if len(text) > 0 {
			want = want && !isSpace(text[0]) && !isSpace(text[len(text)-1])
		}
		if len(text) > MaxJSONDepth {
			return // may nest too deep
		}
		if got := isJSON(text); got != want {
			t.Fatalf("isJSON(%q) = %t", text, got)
		}
		if line := oneLine(text); json.Valid(text) != json.Valid(line) {
			t.Fatalf("oneLine(%q) = %q", text, line)
		}
	})
}

// FuzzEqualJSON compares values in every way that must not matter: with themselves, in either order, and without
// white space. If both are numbers of a modest size, exact fractions decide.
func FuzzEqualJSON(f *testing.F) {
	for _, pair := range [][2]string{
		{`1`, `10e-1`},
		{`{"a":1,"b":[2.50]}`, `{"b":[25e-1],"a":1.0}`},
		{`"a"`, `"\u0061"`},
		{`-0`, `0e9`},
		{`1e99999999999999999999`, `1.0e99999999999999999999`},
		{`0.001200`, `12e-4`},
		{`[]`, `null`},
		{`{"a":{"a":1}}`, `{}`},
	} {
		f.Add([]byte(pair[0]), []byte(pair[1]))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if len(a)+len(b) > 4096 || !json.Valid(a) || !json.Valid(b) {
			return
		}
		equal := equalJSON(a, b)
		if equal != equalJSON(b, a) {
			t.Fatalf("%q equals %q: %t, and the other way round not so", a, b, equal)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, a); err != nil {
			t.Fatal(err)
		}
		if utf8.Valid(a) && utf8.Valid(b) && equal != equalTrees(t, a, b) {
			t.Fatalf("%q equals %q: %t, but the trees that encoding/json makes of them differ in that", a, b, equal)
		}
		if !equalJSON(a, compact.Bytes()) || equalJSON(compact.Bytes(), b) != equal {
			t.Fatalf("%q and %q are not the same, when compared with %q", a, &compact, b)
		}
		x, okX := fractionOf(a)
		y, okY := fractionOf(b)
		if okX && okY && (x.Cmp(y) == 0) != equal {
			t.Fatalf("%q equals %q: %t, but the numbers are %s and %s", a, b, equal, x, y)
		}
	})
}

// fractionOf returns a JSON number exactly; false if the text is none, or its exponent is too large to compute.
func fractionOf(text []byte) (*big.Rat, bool) {
	number := strings.TrimSpace(string(text))
	if _, power, ok := strings.Cut(strings.ToLower(number), "e"); ok {
		if n, err := strconv.Atoi(power); err != nil || n > 1000 || n < -1000 {
			return nil, false
		}
	}
	if number == "" || number[0] != '-' && !isDigit(number[0]) {
		return nil, false
	}
	return new(big.Rat).SetString(number)
}

func TestPlainEndFindsEveryByteAtEveryPlace(t *testing.T) {
	t.Parallel()
	for length := range 20 {
		for at := range length {
			for c := range 256 {
				text := make([]byte, length)
				for i := range text {
					text[i] = "az\x7f\xff\x80 !#"[i%8]
				}
				text[at] = byte(c)
				want := length
				if c < ' ' || c == '"' || c == '\\' {
					want = at
				}
				if got := plainEnd(text, 0); got != want {
					t.Fatalf("plainEnd(%q) = %d; want %d", text, got, want)
				}
			}
		}
	}
}

func TestEqualJSON(t *testing.T) { // T45: no float
	t.Parallel()
	tests := []struct {
		a, b string
		want bool
	}{
		{`1`, `1`, true},
		{`1`, `2`, false},
		{`1`, `1.0`, true},
		{`1`, `10e-1`, true},
		{`100`, `1E+2`, true},
		{`0.1`, `1e-1`, true},
		{`0.1`, `0.10000000000000000001`, false},
		{`9007199254740993`, `9007199254740992.0`, false},
		{`9007199254740993`, `9007199254740993.0`, true},
		{`1e400`, `1e401`, false},
		{`1e400`, `10e399`, true},
		{`-0`, `0`, true},
		{`0e9`, `0.00`, true},
		{`-1`, `1.0`, false},
		{`0.001200`, `12e-4`, true},
		{`1e00000000000000000000002`, `100`, true},
		{`1e99999999999999999999`, `1e99999999999999999999`, true},
		{`1e99999999999999999999`, `1.0e99999999999999999999`, true},
		{`1e99999999999999999999`, `1e-99999999999999999999`, false},
		{`1e99999999999999999999`, `1`, false},
		{`1`, `"1"`, false},
		{`"a"`, `"\u0061"`, true},
		{`"é"`, `"\u00e9"`, true},
		{`"é"`, `"e\u0301"`, false},
		{`null`, `false`, false},
		{`null`, `{}`, false},
		{`[]`, `{}`, false},
		{`{}`, `[]`, false},
		{`true`, `[true]`, false},
		{`[1,[2]]`, `[1.0, [2]]`, true},
		{`[1,2]`, `[2,1]`, false},
		{`[1]`, `[1,1]`, false},
		{`{"a":1,"b":{"c":null}}`, `{"b":{"c":null},"a":1}`, true},
		{`{"a":null}`, `{"b":null}`, false},
		{`{"a":1}`, `{"a":1,"b":2}`, false},
		{`{"a":2,"a":1}`, `{"a":1}`, true},
	}
	for _, test := range tests {
		if got := equalJSON([]byte(test.a), []byte(test.b)); got != test.want {
			t.Errorf("%s equals %s: %t", test.a, test.b, got)
		}
		if got := equalJSON([]byte(test.b), []byte(test.a)); got != test.want {
			t.Errorf("%s equals %s: %t", test.b, test.a, got)
		}
	}
}
