package kv

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// nested returns JSON of about size bytes in which every object has to be put in order, levels deep.
func nested(levels, size int) string {
	pad := strings.Repeat("p", size/levels)
	return strings.Repeat(`{"b":{},"a":["`+pad+`",`, levels) + `0` + strings.Repeat(`]}`, levels)
}

// largest are values of the greatest size, each as hard as it can be for an operation that depends on the value.
func largest() map[string]*Put {
	filled := func(text string) []byte { return []byte(strings.Repeat(text, MaxValueBytes/len(text))) }
	object := `{"z":0` + strings.Repeat(`,"a":{"c":0,"b":[1.50]}`, MaxValueBytes/24) + `}`
	return map[string]*Put{
		"an array of objects": {
			Value: fmt.Appendf(nil, "[%s0]", filled("{},")[:MaxValueBytes/3*3-6]), ContentType: TypeJSON,
		},
		"equal names": {Value: []byte(object), ContentType: TypeJSON},
		"a deep nest": {Value: []byte(nested(jsontext.MaxDepth/2, MaxValueBytes/2)), ContentType: TypeJSON},
		"JSON on many lines": {
			Value: fmt.Appendf(nil, "[\n%s0]", filled("0,\n")[:MaxValueBytes/3*3-9]), ContentType: TypeJSON,
		},
		"JSON after white space": {Value: append(filled(" ")[4:], '1'), ContentType: "application/json; charset=utf-8"},
		"a long number":          {Value: filled("9"), ContentType: TypeJSON},
		"text of digits":         {Value: filled("1"), ContentType: "text/plain"},
		"text of white space":    {Value: filled("\n"), ContentType: "text/plain"},
		"text with many escapes": {Value: filled(`"`), ContentType: "text/plain"},
		"bytes that are no text": {Value: filled("\xff")},
		"JSON of a string":       {Value: fmt.Appendf(nil, `"%s"`, filled(`\n`)[2:]), ContentType: TypeJSON},
		"an object in wrong order": {
			Value:       []byte(`{"b":"` + strings.Repeat("x", MaxValueBytes/2) + `","a":1}`),
			ContentType: TypeJSON,
		},
	}
}

// TestApplyCostsWhatTheCommandIsLong applies every operation many times against each of the largest values. Together
// they read the stored value once, and their memory does not depend on it.
func TestApplyCostsWhatTheCommandIsLong(t *testing.T) { // not parallel: it counts allocations
	commands := map[string]string{
		"put, refused":    `{"op":"put","key":"k","value":"","if_revision":9}`,
		"set, refused":    `{"op":"set","key":"k","value":0,"if_absent":true}`,
		"delete, refused": `{"op":"delete","key":"k","if_revision":9}`,
		"get":             `{"op":"get","key":"k"}`,
		"incr":            `{"op":"incr","key":"k","by":9223372036854775807}`,
		"cas, array":      `{"op":"cas","key":"k","expected":[],"value":1}`,
		"cas, object":     `{"op":"cas","key":"k","expected":{"z":0,"a":0},"value":1}`,
		"cas, string":     `{"op":"cas","key":"k","expected":"x","value":1}`,
		"cas, number":     `{"op":"cas","key":"k","expected":12,"value":1}`,
		"cas, null":       `{"op":"cas","key":"k","expected":null,"value":1}`,
		"cas, other":      `{"op":"cas","key":"other","expected":1,"value":1}`,
	}
	for what, put := range largest() {
		s := New()
		put.Key = []byte("k")
		if err := put.Validate(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		index := uint64(1)
		s.applyText(index, put.AppendJSON(nil))
		for name, command := range commands {
			text := []byte(command)
			s.applyText(index+1, text) // the first may compute the facts that are kept
			index++
			const times = 50
			allocations := testing.AllocsPerRun(times, func() {
				index++
				s.applyText(index, text)
			})
			if allocations > 32 {
				t.Errorf("%s, %s: %v allocations", what, name, allocations)
			}
		}
		if s.read > len(put.Value) {
			t.Errorf("%s: %d bytes of stored values were read, and the value has %d", what, s.read, len(put.Value))
		}
		if record, ok := s.Get("k"); ok && !bytes.Equal(record.Value, put.Value) && record.ModRevision == 1 {
			t.Errorf("%s: the value changed", what)
		}
	}
}

func TestFactsOfALargeValueGoWithTheValue(t *testing.T) {
	t.Parallel()
	large := func(n int) string { return "[" + strings.Repeat("1,", n) + "1]" }
	a, b := large(smallValue), large(smallValue+1)
	cas := func(expected, value string) string {
		return `{"op":"cas","key":"k","expected":` + expected + `,"value":` + value + `}`
	}
	refused := func(revision uint64, found string) Result {
		return Result{Revision: revision, Value: []byte(found)}
	}
	s := story{
		{`{"op":"set","key":"k","value":` + a + `}`, Result{Revision: 1, Created: true}},
		{cas(b, `0`), refused(1, a)},
		{cas(`[1.0`+a[2:], b), Result{Revision: 3, Swapped: true}},
		{cas(a, `0`), refused(3, b)},
		{`{"op":"delete","key":"k"}`, Result{Revision: 5, Deleted: true}},
		{cas(b, `0`), refused(0, `null`)},
		{`{"op":"put","key":"k","json":` + a + `}`, Result{Revision: 7, Created: true}},
		{`{"op":"incr","key":"k"}`, Result{Revision: 7, Code: CodeConflict}},
		{`{"op":"set","key":"k","value":7}`, Result{Revision: 9}},
		{`{"op":"incr","key":"k"}`, Result{Revision: 10, Value: []byte("8")}},
	}.tell(t)
	if len(s.facts) > 0 {
		t.Errorf("facts are kept of values that are gone: %v", s.facts)
	}
}

func TestTheAnswerOfARefusedCASDoesNotChangeLater(t *testing.T) {
	t.Parallel()
	s := New()
	s.applyText(1, []byte(`{"op":"put","key":"k","value":"old"}`))
	refused := s.applyText(2, []byte(`{"op":"cas","key":"k","expected":1,"value":2}`))
	s.applyText(3, []byte(`{"op":"put","key":"k","value":"new"}`))
	s.applyText(4, []byte(`{"op":"delete","key":"k"}`))
	if got := string(refused.JSON()); got != `"old"` {
		t.Errorf("the answer is %s", got)
	}
}

// What was found out about a large value does not outlive it, also where the key is deleted and comes again.
func TestTheFactsOfAValueEndWithIt(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(" ", smallValue)
	s, revision := New(), uint64(0)
	apply := func(format string, args ...any) Result {
		revision++
		return s.Apply(Entry{Revision: revision, Command: fmt.Appendf(nil, format, args...)})
	}
	for name, between := range map[string]string{
		"overwritten":               `{"op":"get","key":"k"}`,
		"deleted":                   `{"op":"delete","key":"k"}`,
		"deleted under a condition": `{"op":"delete","key":"k","if_revision":%d}`,
	} {
		apply(`{"op":"put","key":"k","value":"1%s","content_type":"text/plain"}`, long)
		if r := apply(`{"op":"cas","key":"k","expected":0,"value":0}`); r.Swapped { // reads the value
			t.Fatalf("%s: %+v", name, r)
		}
		if strings.Contains(between, "%d") {
			between = fmt.Sprintf(between, revision-1)
		}
		apply("%s", between)
		apply(`{"op":"put","key":"k","value":"41%s","content_type":"text/plain"}`, long)
		if r := apply(`{"op":"incr","key":"k","by":1}`); string(r.Value) != "42" {
			t.Errorf("%s: 41 and 1 is %s (%s %s)", name, r.Value, r.Code, r.Message)
		}
		apply(`{"op":"delete","key":"k"}`)
	}
}
