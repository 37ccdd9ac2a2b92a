package kv

import (
	"bytes"
	"cmp"
	"strconv"
	"strings"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Compare is a condition of a Txn: it compares an attribute of a key, or of every key of a range, with an operand. A
// comparison of a range that selects no key holds.
type Compare struct {
	Key       []byte // if Range is nil
	Range     *Range
	Attribute Attribute
	Operator  Operator // none for Exists
	// The operand: Value for Value; Is for Exists; Number for the others.
	Value  []byte
	Number uint64
	Is     bool
}

// Attribute is what a Compare compares.
type Attribute string

// The attributes. An absent key has the numbers 0, and no value: a comparison of its value does not hold.
const (
	Value          Attribute = "value"
	Revision       Attribute = "revision" // of the last change
	CreateRevision Attribute = "create_revision"
	Version        Attribute = "version"
	Exists         Attribute = "exists"
)

// Operator is how a Compare compares. Values are compared byte by byte.
type Operator string

// The operators.
const (
	Equal    Operator = "eq"
	NotEqual Operator = "ne"
	Less     Operator = "lt"
	Greater  Operator = "gt"
)

var (
	attributes    = []string{string(Value), string(Revision), string(CreateRevision), string(Version), string(Exists)}
	operators     = []string{string(Equal), string(NotEqual), string(Less), string(Greater)}
	compareFields = append(rangeFields[:len(rangeFields):len(rangeFields)], attributes...)
)

// Validate checks a comparison before it is proposed. The error is an *InvalidError or a *TooLargeError.
func (c *Compare) Validate() error {
	if err := validateKeys(c.Key, c.Range); err != nil {
		return err
	}
	switch c.Attribute {
	case Exists:
		if c.Operator != "" {
			return invalidf(`the attribute "exists" takes no operator, only true or false`)
		}
		return nil
	case Value:
		if err := validateSize("value", c.Value); err != nil {
			return err
		}
	case Revision, CreateRevision, Version:
	default:
		return invalidf("the attribute is %q; it must be one of %s", abbreviate(string(c.Attribute)),
			strings.Join(attributes, ", "))
	}
	if !c.Operator.isKnown() {
		return invalidf("the operator is %q; it must be one of %s", abbreviate(string(c.Operator)),
			strings.Join(operators, ", "))
	}
	return nil
}

func (o Operator) isKnown() bool { return o == Equal || o == NotEqual || o == Less || o == Greater }

// accepts reports whether the operator holds for an order as cmp.Compare returns it.
func (o Operator) accepts(order int) bool {
	switch o {
	case Equal:
		return order == 0
	case NotEqual:
		return order != 0
	case Less:
		return order < 0
	}
	return order > 0
}

// holds reports whether the comparison holds for a record, nil for an absent key.
func (c *Compare) holds(r *Record) bool {
	switch {
	case c.Attribute == Exists:
		return c.Is == (r != nil)
	case r == nil && c.Attribute == Value:
		return false
	case r == nil:
		return c.Operator.accepts(cmp.Compare(0, c.Number))
	}
	switch c.Attribute {
	case Value:
		return c.Operator.accepts(bytes.Compare(r.Value, c.Value))
	case Revision:
		return c.Operator.accepts(cmp.Compare(r.ModRevision, c.Number))
	case CreateRevision:
		return c.Operator.accepts(cmp.Compare(r.CreateRevision, c.Number))
	}
	return c.Operator.accepts(cmp.Compare(r.Version, c.Number))
}

// appendJSON appends the comparison in its canonical form.
func (c *Compare) appendJSON(dst []byte) []byte {
	dst = appendKeys(append(dst, '{'), c.Key, c.Range)
	dst = append(jsontext.AppendText(append(dst, ','), string(c.Attribute)), ':')
	if c.Attribute == Exists {
		return append(strconv.AppendBool(dst, c.Is), '}')
	}
	dst = append(jsontext.AppendText(append(dst, '{'), string(c.Operator)), ':')
	switch {
	case c.Attribute != Value:
		dst = strconv.AppendUint(dst, c.Number, 10)
	case isText(c.Value):
		dst = jsontext.AppendString(dst, c.Value)
	default:
		dst = append(jsontext.AppendBase64(append(dst, `{"base64":`...), c.Value), '}')
	}
	return append(dst, `}}`...)
}

// size returns about how many bytes appendJSON appends.
func (c *Compare) size() int { return namesSize + sizeOfKeys(c.Key, c.Range) + len(c.Value) }

// scanCompare reads the output of appendJSON.
func scanCompare(s *jsontext.Scanner) Compare {
	var c Compare
	s.Want("{")
	c.Key, c.Range = scanKeys(s)
	s.Want(`,"`)
	c.Attribute = attributeOf(s.Plain())
	s.Want(":")
	if c.Attribute == Exists {
		c.Is = s.Bool("")
		s.Want("}")
		return c
	}
	s.Want(`{"`)
	c.Operator = operatorOf(s.Plain())
	s.Want(":")
	switch {
	case c.Attribute != Value:
		c.Number = s.Uint("")
	case s.Take(`{"base64":"`):
		var err error
		c.Value, err = fromBase64(s.Text())
		s.Fail(err != nil)
		s.Want("}")
	default:
		s.Want(`"`)
		c.Value = s.Text()
	}
	s.Fail(c.Attribute == "" || c.Operator == "")
	s.Want("}}")
	return c
}

// attributeOf and operatorOf return a name without allocating, "" for an unknown one.
func attributeOf(name []byte) Attribute {
	for _, known := range attributes {
		if string(name) == known {
			return Attribute(known)
		}
	}
	return ""
}

func operatorOf(name []byte) Operator {
	for _, known := range operators {
		if string(name) == known {
			return Operator(known)
		}
	}
	return ""
}

// decodeCompare decodes a comparison from an object, whose syntax is checked.
func decodeCompare(text []byte) (Compare, error) {
	var c Compare
	d, err := decodeObject(text, "a comparison", compareFields, `{"key":"a","revision":{"eq":42}}`)
	if err != nil {
		return c, err
	}
	if c.Key, c.Range, err = d.keys(); err != nil {
		return c, err
	}
	for _, f := range d.fields {
		attribute := attributeOf([]byte(f.name))
		switch {
		case attribute == "":
			continue
		case c.Attribute != "":
			return c, invalidf("fields %q and %q exclude each other; compare one in each comparison", c.Attribute, attribute)
		}
		c.Attribute = attribute
		if err := c.decodeOperand(f.text); err != nil {
			return c, err
		}
	}
	if c.Attribute == "" {
		return c, invalidf("the comparison compares nothing; give it one of %s", strings.Join(attributes, ", "))
	}
	return c, nil
}

func (c *Compare) decodeOperand(text []byte) error {
	if c.Attribute == Exists {
		c.Is = string(text) == "true"
		if !c.Is && string(text) != "false" {
			return invalidf(`field "exists" must be true or false; it is %s`, abbreviate(string(text)))
		}
		return nil
	}
	example := `{"eq":42}`
	if c.Attribute == Value {
		example = `{"eq":"text"}`
	}
	d, err := decodeObject(text, "field "+strconv.Quote(string(c.Attribute)), operators, example)
	if err != nil {
		return err
	}
	if len(d.fields) != 1 {
		return invalidf("field %q must have one operator, like %s", c.Attribute, example)
	}
	c.Operator = Operator(d.fields[0].name)
	return c.decodeNumberOrValue(d.fields[0].text)
}

func (c *Compare) decodeNumberOrValue(text []byte) (err error) {
	if c.Attribute != Value {
		if c.Number, err = strconv.ParseUint(string(text), 10, 64); err != nil {
			return invalidf("field %q must be compared with a whole number, like 42; it is %s", c.Attribute,
				abbreviate(string(text)))
		}
		return nil
	}
	const right = `a value is compared with a string, like "text", or with {"base64":"..."}`
	switch text[0] {
	case '"':
		c.Value = []byte(unquoted(text))
		return nil
	case '{':
		d, err := decodeObject(text, `field "value"`, []string{"base64"}, right)
		if err != nil {
			return err
		}
		encoded, err := d.text("base64", "a string of base64")
		if err != nil {
			return err
		}
		c.Value, err = fromBase64(encoded)
		return err
	}
	return invalidf("%s; it is %s", right, abbreviate(string(text)))
}
