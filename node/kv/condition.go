package kv

import (
	"fmt"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Condition is what a write requires of its key: nothing (the zero value), a revision, or that it is absent.
type Condition struct {
	kind     conditionKind
	revision uint64
}

type conditionKind uint8

const (
	noCondition conditionKind = iota
	atRevision
	isAbsent
)

// AtRevision requires that the key has a revision; 0: that it is absent (HTTP's If-Match).
func AtRevision(revision uint64) Condition { return Condition{kind: atRevision, revision: revision} }

// Absent requires that the key is absent (HTTP's If-None-Match: *).
func Absent() Condition { return Condition{kind: isAbsent} }

// check returns a refusal, and false, if the condition does not hold for the record of a key, nil if it is absent.
func (c Condition) check(key []byte, current *Record) (Result, bool) {
	revision := revisionOf(current)
	switch {
	case c.kind == isAbsent && current != nil:
		return preconditionFailed(key, revision, "must be absent"), false
	case c.kind == atRevision && c.revision != revision:
		return preconditionFailed(key, revision, "must have revision "+strconv.FormatUint(c.revision, 10)), false
	}
	return Result{}, true
}

func preconditionFailed(key []byte, revision uint64, wanted string) Result {
	is := "is absent"
	if revision != 0 {
		is = "has revision " + strconv.FormatUint(revision, 10)
	}
	return Result{
		Revision: revision,
		Code:     CodePreconditionFailed,
		Message:  fmt.Sprintf("key %q %s, and %s; nothing was changed", abbreviate(string(key)), wanted, is),
	}
}

func (c Condition) appendJSON(dst []byte) []byte {
	switch c.kind {
	case atRevision:
		dst = append(dst, `,"if_revision":`...)
		dst = strconv.AppendUint(dst, c.revision, 10)
	case isAbsent:
		dst = append(dst, `,"if_absent":true`...)
	}
	return dst
}

// scanCondition reads the condition of a put or set, scanRevision that of a delete.
func scanCondition(s *jsontext.Scanner) Condition {
	if s.Take(`,"if_absent":true`) {
		return Absent()
	}
	return scanRevision(s)
}

func scanRevision(s *jsontext.Scanner) Condition {
	if !s.Peek(`,"if_revision":`) {
		return Condition{}
	}
	return AtRevision(s.Uint(`,"if_revision":`))
}

// condition decodes the conditions of an operation, of which there may be one.
func (d decoder) condition() (Condition, error) {
	var c Condition
	if text, ok := find(d.fields, "if_revision"); ok {
		n, err := strconv.ParseUint(string(text), 10, 64)
		if err != nil {
			return c, invalidf(`field "if_revision" must be a revision, a whole number like 42; it is %s`,
				abbreviate(string(text)))
		}
		c = AtRevision(n)
	}
	text, ok := find(d.fields, "if_absent")
	switch s := string(text); {
	case !ok || s == "false":
		return c, nil
	case s != "true":
		return c, invalidf(`field "if_absent" must be true or false; it is %s`, abbreviate(s))
	case c.kind == atRevision:
		return c, invalidf(`fields "if_revision" and "if_absent" exclude each other; give one of them`)
	}
	return Absent(), nil
}
