package kv

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// txnOf applies a transaction, and returns whether its comparisons held.
func txnOf(t *testing.T, s *Store, command string) (succeeded bool, results string) {
	t.Helper()
	r := s.applyText(s.Applied()+1, []byte(command))
	if r.Code != "" {
		t.Fatalf("%.200s: %s %s", command, r.Code, r.Message)
	}
	text := string(r.JSON())
	if rest, ok := strings.CutPrefix(text, `{"succeeded":true,"results":`); ok {
		return true, strings.TrimSuffix(rest, "}")
	}
	rest, ok := strings.CutPrefix(text, `{"succeeded":false,"results":`)
	if !ok {
		t.Fatalf("%.200s: %s", command, text)
	}
	return false, strings.TrimSuffix(rest, "}")
}

// storeOf returns a store after these commands.
func storeOf(t *testing.T, commands ...string) *Store {
	t.Helper()
	s := New()
	for _, c := range commands {
		if r := s.applyText(s.Applied()+1, []byte(c)); r.Code != "" {
			t.Fatalf("%s: %s", c, r.Message)
		}
	}
	return s
}

// holding returns the operators that hold for an order of attribute and operand.
func holding(order int) []Operator {
	return [][]Operator{{NotEqual, Less}, {Equal}, {NotEqual, Greater}}[order+1]
}

// expectOperators checks which operators hold between an attribute and an operand.
func expectOperators(t *testing.T, s *Store, keys, attribute, operand string, want []Operator) {
	t.Helper()
	for _, o := range []Operator{Equal, NotEqual, Less, Greater} {
		c := fmt.Sprintf(`{"op":"txn","if":[{%s,%q:{%q:%s}}]}`, keys, attribute, o, operand)
		if got, _ := txnOf(t, s, c); got != slices.Contains(want, o) {
			t.Errorf("%s: %t", c, got)
		}
	}
}

func TestCompareANumberOfAKey(t *testing.T) {
	t.Parallel()
	// a: created by 2, changed by 4, version 3.
	s := storeOf(t, `{"op":"set","key":"z","value":0}`, `{"op":"set","key":"a","value":1}`,
		`{"op":"set","key":"a","value":2}`, `{"op":"set","key":"a","value":3}`)
	for attribute, is := range map[string]int{"create_revision": 2, "revision": 4, "version": 3} {
		for order := -1; order <= 1; order++ {
			expectOperators(t, s, `"key":"a"`, attribute, fmt.Sprint(is-order), holding(order))
		}
		expectOperators(t, s, `"key":"none"`, attribute, "0", holding(0))
		expectOperators(t, s, `"key":"none"`, attribute, "1", holding(-1))
	}
	s.applyText(s.Applied()+1, []byte(`{"op":"delete","key":"a"}`))
	expectOperators(t, s, `"key":"a"`, "version", "0", holding(0))
}

func TestCompareAValueByItsBytes(t *testing.T) {
	t.Parallel()
	s := storeOf(t, `{"op":"put","key":"a","value":"m"}`, `{"op":"put","key":"b","value":"/wA=","encoding":"base64"}`,
		`{"op":"put","key":"empty","value":""}`)
	expectOperators(t, s, `"key":"a"`, "value", `"m"`, holding(0))
	expectOperators(t, s, `"key":"a"`, "value", `"ma"`, holding(-1))
	expectOperators(t, s, `"key":"a"`, "value", `"L"`, holding(1))
	expectOperators(t, s, `"key":"b"`, "value", `{"base64":"/wA="}`, holding(0))
	expectOperators(t, s, `"key":"b"`, "value", `{"base64":"/w=="}`, holding(1))
	expectOperators(t, s, `"key":"empty"`, "value", `""`, holding(0))
	// An absent key has no value, and nothing holds for that: not even that it is another one.
	expectOperators(t, s, `"key":"none"`, "value", `"m"`, nil)
	expectOperators(t, s, `"key":"none"`, "value", `""`, nil)
}

func TestCompareExistence(t *testing.T) {
	t.Parallel()
	s := storeOf(t, `{"op":"put","key":"a/1","value":"m"}`, `{"op":"put","key":"gone","value":"m"}`,
		`{"op":"delete","key":"gone"}`)
	for keys, want := range map[string][2]bool{ // of "exists":true and false
		`"key":"a/1"`: {true, false}, `"key":"none"`: {false, true}, `"key":"gone"`: {false, true},
		`"prefix":"a/"`: {true, false}, `"prefix":"none/"`: {true, true}, `"from":"gone","to":"h"`: {true, true},
	} {
		for i, is := range []bool{true, false} {
			c := fmt.Sprintf(`{"op":"txn","if":[{%s,"exists":%t}]}`, keys, is)
			if got, _ := txnOf(t, s, c); got != want[i] {
				t.Errorf("%s: %t", c, got)
			}
		}
	}
}

// A comparison of a range holds if it holds for every key in it, so an empty range satisfies any.
func TestCompareARange(t *testing.T) {
	t.Parallel()
	s := storeOf(t, `{"op":"put","key":"a/1","value":"x"}`, `{"op":"put","key":"a/2","value":"x"}`,
		`{"op":"put","key":"b","value":"y"}`, `{"op":"put","key":"a/2","value":"x"}`)
	all := []Operator{Equal, NotEqual, Less, Greater}
	for _, c := range []struct {
		keys, attribute, operand string
		want                     []Operator
	}{
		{`"prefix":"a/"`, "value", `"x"`, holding(0)},
		{`"prefix":"a/"`, "value", `"y"`, holding(-1)},
		{`"from":"a/","to":"b"`, "value", `"w"`, holding(1)},
		{`"from":"a/"`, "value", `"x"`, nil}, // "y" is greater: eq, ne, lt and gt fail for one of the keys
		{`"prefix":"a/"`, "version", "1", nil},
		{`"prefix":"a/","from":"a/2"`, "version", "2", holding(0)},
		{`"prefix":"a/","to":"a/2"`, "version", "1", holding(0)},
		{`"from":"","to":"b"`, "revision", "0", holding(1)},
		{`"prefix":"a/"`, "create_revision", "3", holding(-1)},
		{`"prefix":"c"`, "value", `"x"`, all},
		{`"prefix":"c"`, "version", "7", all},
		{`"from":"b","to":"a"`, "revision", "7", all},
		{`"prefix":"a/","from":"b"`, "create_revision", "7", all},
	} {
		expectOperators(t, s, c.keys, c.attribute, c.operand, c.want)
	}
}

func TestEveryComparisonMustHold(t *testing.T) {
	t.Parallel()
	s := storeOf(t, `{"op":"put","key":"a","value":"x"}`)
	const holds, fails = `{"key":"a","exists":true}`, `{"key":"a","version":{"eq":2}}`
	for list, want := range map[string]string{
		holds: "then", holds + "," + holds: "then", "": "then",
		fails: "else", holds + "," + fails: "else", fails + "," + holds: "else",
	} {
		_, results := txnOf(t, s, `{"op":"txn","if":[`+list+`],"then":[{"set":{"key":"then","value":1}}],`+
			`"else":[{"set":{"key":"else","value":1}}]}`)
		got := "else"
		if item, _ := s.Get("then"); item.ModRevision == s.Applied() {
			got = "then"
		}
		if got != want {
			t.Errorf("if %s: %s was done, with %s", list, got, results)
		}
	}
}
