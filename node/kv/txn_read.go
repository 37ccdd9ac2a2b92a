package kv

import (
	"strconv"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Read reads a key or the keys of a range, in a transaction only. A command that reads is a Get, and does not go
// through the log.
type Read struct {
	Key   []byte // if Range is nil
	Range *Range
	// Limit is how many keys of a range to read at most; 0: defaultReadKeys. The result is also bounded in bytes.
	Limit    int
	KeysOnly bool
}

const (
	defaultReadKeys = 1000
	maxReadKeys     = MaxTxnVisits
)

var readFieldNames = append(rangeFields[:len(rangeFields):len(rangeFields)], "limit", "keys_only")

// Op returns OpGet.
func (r *Read) Op() Op { return OpGet }

// Validate implements Operation.
func (r *Read) Validate() error {
	if err := validateKeys(r.Key, r.Range); err != nil {
		return err
	}
	switch {
	case r.Limit < 0 || r.Limit > maxReadKeys:
		return invalidf(`field "limit" is %d; it must be from 1 to %d, or be left out for %d`, r.Limit, maxReadKeys,
			defaultReadKeys)
	case r.Limit > 0 && r.Range == nil:
		return invalidf(`field "limit" goes with a range, not with "key"`)
	}
	return nil
}

// AppendJSON implements Operation.
func (r *Read) AppendJSON(dst []byte) []byte { return appendCommand(dst, r) }

func (r *Read) appendFields(dst []byte) []byte {
	dst = appendKeys(dst, r.Key, r.Range)
	if r.Limit != 0 {
		dst = strconv.AppendInt(append(dst, `,"limit":`...), int64(r.Limit), 10)
	}
	if r.KeysOnly {
		dst = append(dst, `,"keys_only":true`...)
	}
	return dst
}

// Size implements Operation.
func (r *Read) Size() int { return namesSize + sizeOfKeys(r.Key, r.Range) }

func (r *Read) scan(s jsontext.Scanner) jsontext.Scanner {
	*r = Read{}
	r.Key, r.Range = scanKeys(&s)
	r.Limit = int(s.Given(`,"limit":`, maxReadKeys))
	r.KeysOnly = s.Take(`,"keys_only":true`)
	return s
}

func (r *Read) decode(d decoder) (err error) {
	*r = Read{}
	if r.Key, r.Range, err = d.keys(); err != nil {
		return err
	}
	if text, ok := find(d.fields, "limit"); ok {
		if r.Limit, err = strconv.Atoi(string(text)); err != nil || r.Limit == 0 {
			return invalidf(`field "limit" is %s; it must be from 1 to %d, or be left out for %d`, abbreviate(string(text)),
				maxReadKeys, defaultReadKeys)
		}
	}
	if text, ok := find(d.fields, "keys_only"); ok {
		r.KeysOnly = string(text) == "true"
		if !r.KeysOnly && string(text) != "false" {
			return invalidf(`field "keys_only" must be true or false; it is %s`, abbreviate(string(text)))
		}
	}
	return nil
}

// Count counts a key or the keys of a range, in a transaction only.
type Count struct {
	Key   []byte // if Range is nil
	Range *Range
}

// Op returns OpCount.
func (c *Count) Op() Op { return OpCount }

// Validate implements Operation.
func (c *Count) Validate() error { return validateKeys(c.Key, c.Range) }

// AppendJSON implements Operation.
func (c *Count) AppendJSON(dst []byte) []byte { return appendCommand(dst, c) }

func (c *Count) appendFields(dst []byte) []byte { return appendKeys(dst, c.Key, c.Range) }

// Size implements Operation.
func (c *Count) Size() int { return namesSize + sizeOfKeys(c.Key, c.Range) }

func (c *Count) scan(s jsontext.Scanner) jsontext.Scanner {
	*c = Count{}
	c.Key, c.Range = scanKeys(&s)
	return s
}

func (c *Count) decode(d decoder) (err error) {
	*c = Count{}
	c.Key, c.Range, err = d.keys()
	return err
}
