package kv

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Txn carries out the operations in Then if every comparison holds, and those in Else otherwise: all of them, or none.
// The changes have one revision, and keep the order of the operations.
//
// An operation is a *Put, *Set, *Delete, *Incr, *CAS, *Read or *Count. A key may be changed once. Every change is
// decided by the state before the transaction; a Read or Count also sees the changes of the operations before it.
type Txn struct {
	If         []Compare
	Then, Else []Operation

	puts *putSlab // of a Parser; nil: each put is allocated
}

// putSlab is the memory of the puts in a transaction, which is used again.
type putSlab struct{ list []Put }

// take returns a place for a put. A list that grows leaves the places that were returned where they are.
func (l *putSlab) take() *Put {
	if l == nil {
		return &Put{}
	}
	l.list = append(l.list, Put{})
	return &l.list[len(l.list)-1]
}

// reset forgets the puts, which refer to their command.
func (l *putSlab) reset() {
	clear(l.list)
	if l.list = l.list[:0]; cap(l.list) > 2*mostGrouped {
		l.list = nil
	}
}

// Limits of a transaction.
const (
	// MaxTxnOperations bounds the comparisons and operations together.
	MaxTxnOperations = 512
	// MaxTxnVisits bounds the keys that a transaction or the delete of a range visits. Keys that are deleted, but still
	// in the history, count too. So does every KiB of a value that is compared over a range.
	MaxTxnVisits = 10_000
	// MaxTxnResultBytes bounds the JSON of what a transaction reads. Twice that, and what stands around it, fit into the
	// answer of a leader to the node that forwarded the transaction.
	MaxTxnResultBytes = 4<<20 - 64<<10
	// mostParsed bounds what is parsed: an operation takes ten times the memory of a short text. It is more than any
	// version may allow.
	mostParsed = 8 * MaxTxnOperations
)

var txnFields = []string{"if", "then", "else"}

// Op returns OpTxn.
func (t *Txn) Op() Op { return OpTxn }

// inner lists the operations that a transaction may have.
var inner = [...]struct {
	op     Op
	fields []string
	empty  func() Operation
}{
	{OpPut, putFields, func() Operation { return &Put{} }},
	{OpSet, setFields, func() Operation { return &Set{} }},
	{OpDelete, deleteFields, func() Operation { return &Delete{} }},
	{OpIncr, incrFields, func() Operation { return &Incr{} }},
	{OpCAS, casFields, func() Operation { return &CAS{} }},
	{OpGet, readFieldNames, func() Operation { return &Read{} }},
	{OpCount, rangeFields, func() Operation { return &Count{} }},
}

// innerNames lists the operations of a transaction for messages.
func innerNames() string {
	var names []string
	for i := range inner {
		names = append(names, string(inner[i].op))
	}
	return strings.Join(names, ", ")
}

// Validate implements Operation.
func (t *Txn) Validate() error {
	total := len(t.If) + len(t.Then) + len(t.Else)
	switch {
	case total == 0:
		return invalidf(`a transaction needs operations in "then" or "else", or comparisons in "if"`)
	case total > MaxTxnOperations:
		return tooManyOperations(total)
	}
	for i := range t.If {
		if err := t.If[i].Validate(); err != nil {
			return located(err, fmt.Sprintf("if[%d]", i))
		}
	}
	if err := validateBranch("then", t.Then); err != nil {
		return err
	}
	if err := validateBranch("else", t.Else); err != nil {
		return err
	}
	return t.validateSize()
}

func tooManyOperations(total int) error {
	return &TooLargeError{Field: "txn", Size: total, Limit: MaxTxnOperations, Unit: "comparisons and operations"}
}

// validateBranch checks the operations of a branch, and that no two of them change the same key.
func validateBranch(name string, operations []Operation) error {
	changes := make(map[string]int, len(operations))
	for i, o := range operations {
		if !isInner(o) {
			return invalidf("%s[%d]: op %s cannot be in a transaction; it must be one of %s", name, i, o.Op(), innerNames())
		}
		if err := o.Validate(); err != nil {
			return located(err, fmt.Sprintf("%s[%d].%s", name, i, o.Op()))
		}
		key := changedKey(o)
		if key == nil {
			continue
		}
		if first, twice := changes[string(key)]; twice {
			return invalidf("%s[%d] and %s[%d] change the same key, %q; change a key once in a transaction", name, i, name,
				first, abbreviate(string(key)))
		}
		changes[string(key)] = i
	}
	return nil
}

func isInner(o Operation) bool {
	switch o.(type) {
	case *Put, *Set, *Delete, *Incr, *CAS, *Read, *Count:
		return true
	}
	return false
}

// changedKey returns the key that an operation changes, nil for a range and for an operation that changes nothing.
func changedKey(o Operation) []byte {
	switch o := o.(type) {
	case *Put:
		return o.Key
	case *Set:
		return o.Key
	case *Delete:
		return o.Key
	case *Incr:
		return o.Key
	case *CAS:
		return o.Key
	}
	return nil
}

// located adds the place in a transaction to an error of Validate or of parsing.
func located(err error, where string) error {
	switch err := err.(type) { //nolint:errorlint // these errors are never wrapped
	case *InvalidError:
		return invalidf("%s: %s", where, err.Message)
	case *TooLargeError:
		found := *err
		found.Field = where + "." + err.Field
		return &found
	}
	return err
}

// validateSize checks that the canonical form has at most MaxCommandBytes. It is encoded for that only if it could be
// longer.
func (t *Txn) validateSize() error {
	const escaped, names = 6, 128 // a character of a key may take six bytes, one of a value two
	most := 0
	for i := range t.If {
		most += escaped*sizeOfKeys(t.If[i].Key, t.If[i].Range) + 2*len(t.If[i].Value) + names
	}
	for _, list := range [][]Operation{t.Then, t.Else} {
		for _, o := range list {
			most += escaped*MaxKeyBytes + 2*o.Size() + names
		}
	}
	if most <= MaxCommandBytes {
		return nil
	}
	if size := t.encodedSize(); size > MaxCommandBytes {
		return &TooLargeError{Field: "txn", Size: size, Limit: MaxCommandBytes}
	}
	return nil
}

// encodedSize returns the length of the output of AppendJSON. It holds one part of it at a time.
func (t *Txn) encodedSize() int {
	size := len(`{"op":"txn","then":[]}`)
	if len(t.If) > 0 {
		size += len(`"if":[],`)
	}
	if len(t.Else) > 0 {
		size += len(`,"else":[]`)
	}
	var part []byte
	for i := range t.If {
		part = t.If[i].appendJSON(part[:0])
		size += len(part)
	}
	for _, list := range [][]Operation{t.Then, t.Else} {
		for _, o := range list {
			part = appendInner(part[:0], o)
			size += len(part)
		}
	}
	return size + max(len(t.If)-1, 0) + max(len(t.Then)-1, 0) + max(len(t.Else)-1, 0) // commas
}

// AppendJSON implements Operation.
func (t *Txn) AppendJSON(dst []byte) []byte { return appendCommand(dst, t) }

// appendFields writes an empty if or else not at all, so that there is always one field.
func (t *Txn) appendFields(dst []byte) []byte {
	if len(t.If) > 0 {
		dst = append(dst, `"if":[`...)
		for i := range t.If {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = t.If[i].appendJSON(dst)
		}
		dst = append(dst, `],`...)
	}
	dst = appendBranch(append(dst, `"then":[`...), t.Then)
	if len(t.Else) > 0 {
		dst = appendBranch(append(dst, `,"else":[`...), t.Else)
	}
	return dst
}

func appendBranch(dst []byte, operations []Operation) []byte {
	for i, o := range operations {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendInner(dst, o)
	}
	return append(dst, ']')
}

// appendInner appends an operation of a transaction, whose name is the field that holds the others.
func appendInner(dst []byte, o Operation) []byte {
	dst = append(append(append(dst, `{"`...), o.Op()...), `":{`...)
	return append(o.appendFields(dst), `}}`...)
}

// Size implements Operation.
func (t *Txn) Size() int {
	size := namesSize
	for i := range t.If {
		size += t.If[i].size()
	}
	for _, list := range [][]Operation{t.Then, t.Else} {
		for _, o := range list {
			size += o.Size()
		}
	}
	return size
}

// reset forgets the operations, which refer to their command.
func (t *Txn) reset() {
	*t = Txn{puts: t.puts}
	if t.puts != nil {
		t.puts.reset()
	}
}

func (t *Txn) scan(s jsontext.Scanner) jsontext.Scanner {
	t.reset()
	if s.Take(`"if":[`) {
		for t.If = append(t.If, scanCompare(&s)); s.Take(","); {
			t.If = append(t.If, scanCompare(&s))
			s.Fail(len(t.If) > mostParsed)
		}
		s.Want(`],`)
	}
	s.Want(`"then":[`)
	if !s.Take("]") {
		t.Then = t.scanBranch(&s)
	}
	if s.Take(`,"else":[`) {
		t.Else = t.scanBranch(&s)
	}
	return s
}

// scanBranch reads the operations of a list that is not empty, and the bracket behind them.
func (t *Txn) scanBranch(s *jsontext.Scanner) []Operation {
	list := []Operation{t.scanInner(s)}
	for s.Take(",") {
		list = append(list, t.scanInner(s))
		s.Fail(len(list) > mostParsed)
	}
	s.Want("]")
	return list
}

func (t *Txn) scanInner(s *jsontext.Scanner) Operation {
	if s.Take(`{"put":{`) {
		p := t.puts.take()
		*s = p.scan(*s)
		s.Want("}}")
		return p
	}
	s.Want(`{"`)
	name := s.Plain()
	s.Want(`":{`[1:])
	for i := range inner {
		if string(name) != string(inner[i].op) {
			continue
		}
		o := inner[i].empty()
		*s = o.scan(*s)
		s.Want("}}")
		return o
	}
	s.Fail(true)
	return nil
}

func (t *Txn) decode(d decoder) error {
	t.reset()
	total := 0
	for _, f := range d.fields {
		if f.text[0] != '[' {
			return invalidf("field %q must be a list of objects; it is %s", f.name, abbreviate(string(f.text)))
		}
		_ = elements(f.text, func([]byte) error { total++; return nil })
	}
	if total > mostParsed {
		return tooManyOperations(total)
	}
	for _, f := range d.fields {
		i := 0
		err := elements(f.text, func(text []byte) error {
			i++
			return t.decodeElement(f.name, i-1, text)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// decodeElement decodes an element of one of the lists.
func (t *Txn) decodeElement(list string, i int, text []byte) error {
	where := fmt.Sprintf("%s[%d]", list, i)
	if list == "if" {
		c, err := decodeCompare(text)
		t.If = append(t.If, c)
		return located(err, where)
	}
	o, err := decodeInner(text, where)
	if err != nil {
		return err
	}
	if list == "then" {
		t.Then = append(t.Then, o)
	} else {
		t.Else = append(t.Else, o)
	}
	return nil
}

// decodeInner decodes an operation of a transaction.
func decodeInner(text []byte, where string) (Operation, error) {
	const example = `{"put":{"key":"a","value":"1"}}`
	if text[0] != '{' {
		return nil, invalidf("%s must be an object, like %s; it is %s", where, example, abbreviate(string(text)))
	}
	fields, err := fieldsIn(text)
	switch {
	case err != nil:
		return nil, located(err, where)
	case len(fields) != 1:
		return nil, invalidf("%s has %d fields; an operation has one, its name, like %s", where, len(fields), example)
	}
	name := fields[0].name
	for i := range inner {
		if name != string(inner[i].op) {
			continue
		}
		where += "." + name
		d, err := decodeObject(fields[0].text, "op "+name, inner[i].fields, example[len(`{"put":`):len(example)-1])
		if err != nil {
			return nil, located(err, where)
		}
		o := inner[i].empty()
		return o, located(o.decode(d), where)
	}
	return nil, invalidf("%s: op %q cannot be in a transaction; it must be one of %s", where, abbreviate(name),
		innerNames())
}

// ParseTxn parses a transaction as Parse does, from an object that need not have the field op.
func ParseTxn(text []byte) (*Txn, error) {
	t := &Txn{}
	if !utf8.Valid(text) {
		return nil, notUTF8()
	}
	if s := jsontext.Scan(text); s.Want("{") {
		if s = t.scan(s); s.Want("}") && s.Done() {
			return t, nil
		}
	}
	fields, err := readFields(text)
	if err != nil {
		return nil, err
	}
	if op, ok := find(fields, "op"); ok && string(op) != `"txn"` {
		return nil, invalidf(`field "op" is %s; it must be "txn", or be left out`, abbreviate(string(op)))
	}
	if err := decodeFields(t, fields); err != nil {
		return nil, err
	}
	if jsontext.HasLoneSurrogate(text) {
		return nil, loneSurrogate("a transaction")
	}
	return t, nil
}
