package kv

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Op is the operation of a command.
type Op string

// The operations, as in the log and in the API.
const (
	OpPut    Op = "put"    // store bytes with a content type
	OpSet    Op = "set"    // store a JSON value
	OpGet    Op = "get"    // change nothing; reads do not go through the log, but a log may hold one
	OpDelete Op = "delete" // remove a key
	OpIncr   Op = "incr"   // add to an integer; an absent key counts as 0
	OpCAS    Op = "cas"    // set a JSON value if the present one equals the expected one
)

// The limits of Validate. Apply ignores them: a later version may change them, and every node must apply an entry of
// the log in the same way (trap T45).
const (
	MaxKeyBytes         = 1024
	MaxValueBytes       = 1 << 20
	MaxContentTypeBytes = 256
	// MaxCommandBytes is more than AppendJSON writes for any command that passes Validate: a cas has two JSON values,
	// an escaped text at most twice its size, an escaped key six times its own.
	MaxCommandBytes = 2*MaxValueBytes + 8*MaxKeyBytes
)

// Content types that the store itself sets or checks.
const (
	TypeBytes = "application/octet-stream" // what a put without a content type has
	TypeJSON  = jsontext.MediaType         // what set, cas and the first incr of a key store
)

// Command is one request to the state machine. Parse and AppendJSON convert it from and to JSON.
type Command struct {
	Op  Op
	Key string
	// Value holds the bytes of a put, and the JSON text of a set or cas.
	Value []byte
	// ContentType of a put; empty means TypeBytes. Set and cas always store TypeJSON.
	ContentType string
	// By is the addend of incr.
	By int64
	// Expected is the JSON text that a cas compares with; null means an absent key.
	Expected []byte
	// IfRevision makes put, set or delete conditional on this revision of the key (HTTP's If-Match; 0: absent).
	IfRevision    uint64
	HasIfRevision bool
	// IfAbsent makes put or set conditional on the absence of the key (HTTP's If-None-Match: *).
	IfAbsent bool
}

// Validate checks a command before it is proposed. The error is an *InvalidError or a *TooLargeError.
func (c Command) Validate() error {
	if len(opFields(c.Op)) == 0 {
		return invalidf(`field "op" is %q; it must be one of %s`, abbreviate(string(c.Op)), opNames)
	}
	if err := c.validateKey(); err != nil {
		return err
	}
	if len(c.Value) > MaxValueBytes {
		return &TooLargeError{Field: "value", Size: len(c.Value), Limit: MaxValueBytes}
	}
	if err := c.validateContentType(); err != nil {
		return err
	}
	if err := c.validateConditions(); err != nil {
		return err
	}
	return c.validateJSON()
}

func (c *Command) validateKey() error {
	switch {
	case c.Key == "":
		return invalidf(`field "key" is empty; it must have 1 to %d bytes`, MaxKeyBytes)
	case len(c.Key) > MaxKeyBytes:
		return &TooLargeError{Field: "key", Size: len(c.Key), Limit: MaxKeyBytes}
	case !utf8.ValidString(c.Key):
		return invalidf(`field "key" must be valid UTF-8`)
	case strings.IndexByte(c.Key, 0) >= 0:
		return invalidf(`field "key" must not contain the character NUL`)
	}
	return nil
}

func (c *Command) validateContentType() error {
	if len(c.ContentType) > MaxContentTypeBytes {
		return &TooLargeError{Field: "content_type", Size: len(c.ContentType), Limit: MaxContentTypeBytes}
	}
	for i := range len(c.ContentType) {
		if c.ContentType[i] < ' ' || c.ContentType[i] > '~' {
			return invalidf(`field "content_type" must consist of printable ASCII characters, like text/plain`)
		}
	}
	return nil
}

func (c *Command) validateConditions() error {
	switch {
	case c.HasIfRevision && c.IfAbsent:
		return invalidf(`fields "if_revision" and "if_absent" exclude each other; give one of them`)
	case c.HasIfRevision && !takes(c.Op, "if_revision"):
		return invalidf(`field "if_revision" does not go with op %s; leave it out, or use put, set or delete`, c.Op)
	case c.IfAbsent && !takes(c.Op, "if_absent"):
		return invalidf(`field "if_absent" does not go with op %s; leave it out, or use put or set`, c.Op)
	}
	return nil
}

// validateJSON checks the fields that hold JSON, including the value of a put with a JSON content type.
func (c *Command) validateJSON() error {
	switch c.Op {
	case OpPut:
		if jsontext.IsJSON(c.ContentType) {
			text, ok := jsontext.Embeddable(c.Value)
			if !ok {
				return invalidf(`the value is not valid JSON (in UTF-8, at most %d levels deep), though its content type is %s; `+
					`correct it, or send another type`, jsontext.MaxDepth, c.ContentType)
			}
			return checkJSON("value", text, true)
		}
	case OpSet:
		return checkJSON("value", c.Value, jsontext.Valid(jsontext.OneLine(c.Value)))
	case OpCAS:
		if len(c.Expected) > MaxValueBytes {
			return &TooLargeError{Field: "expected", Size: len(c.Expected), Limit: MaxValueBytes}
		}
		if err := checkJSON("expected", c.Expected, jsontext.Valid(jsontext.OneLine(c.Expected))); err != nil {
			return err
		}
		return checkJSON("value", c.Value, jsontext.Valid(jsontext.OneLine(c.Value)))
	}
	return nil
}

// checkJSON refuses a field that is not JSON, or that JSON tools read differently.
func checkJSON(field string, text []byte, valid bool) error {
	switch {
	case !valid:
		return notJSON(field)
	case jsontext.HasLoneSurrogate(text):
		return loneSurrogate("field " + strconv.Quote(field))
	}
	return nil
}

func loneSurrogate(where string) error {
	return invalidf(`%s must not have half of a surrogate pair, like \ud800: it stands for no character; `+
		`write the pair, like \ud83d\ude00, or the character itself`, where)
}

func notJSON(field string) error {
	return invalidf("field %q must be a JSON value in UTF-8, nested at most %d levels deep", field, jsontext.MaxDepth)
}

const opNames = "put, set, get, delete, incr, cas"

// opFields lists the fields that an operation takes beside op; none for an unknown operation.
func opFields(op Op) []string {
	switch op {
	case OpPut:
		return putFields
	case OpSet:
		return setFields
	case OpGet:
		return getFields
	case OpDelete:
		return deleteFields
	case OpIncr:
		return incrFields
	case OpCAS:
		return casFields
	}
	return nil
}

var (
	putFields    = []string{"key", "value", "json", "encoding", "content_type", "if_revision", "if_absent"}
	setFields    = []string{"key", "value", "if_revision", "if_absent"}
	getFields    = []string{"key"}
	deleteFields = []string{"key", "if_revision"}
	incrFields   = []string{"key", "by"}
	casFields    = []string{"key", "expected", "value"}
)

func takes(op Op, field string) bool {
	for _, f := range opFields(op) {
		if f == field {
			return true
		}
	}
	return false
}

// abbreviate shortens input before it is shown in a message.
func abbreviate(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
