package main

import (
	"strings"
	"testing"
)

func TestAccountReportsWhatIsImpossible(t *testing.T) {
	t.Parallel()
	const key = 7
	value := func(id writeID) []byte {
		v := newValue()
		setValue(v, id, key)
		return v
	}
	// Two writes were acknowledged, as revisions 10 and 12 (the later response came first); a third has an unknown
	// outcome.
	p := func() *keyAccount {
		a := newAccount(keyCount)
		a.acknowledged(key, 2, 12)
		a.acknowledged(key, 1, 10)
		a.outcomeUnknown(key, 3)
		return &a.keys[key]
	}
	for name, c := range map[string]struct {
		got  record
		want string // in the error; empty: none
	}{
		"no fault":                                       {record{true, 12, 2, value(2)}, ""},
		"the unknown write came last":                    {record{true, 13, 3, value(3)}, ""},
		"the unknown write came in between":              {record{true, 12, 3, value(2)}, ""},
		"the key is gone":                                {record{}, "LOST"},
		"the last write is gone":                         {record{true, 10, 2, value(1)}, "LOST"},
		"its revision contains another write":            {record{true, 12, 2, value(1)}, "LOST"},
		"a write that was overwritten never took effect": {record{true, 12, 1, value(2)}, "LOST"},
		"a write took effect twice":                      {record{true, 12, 4, value(2)}, "TWICE"},
		"an unrecorded write":                            {record{true, 14, 3, value(9)}, "was not unknown"},
		"the value was truncated":                        {record{true, 12, 2, value(2)[:100]}, "100 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := p().check(key, c.got)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestLedgerAcceptsThatADoubtfulFirstWriteIsNotThere(t *testing.T) {
	t.Parallel()
	a := newAccount(keyCount)
	a.outcomeUnknown(7, 1)
	if err := a.keys[7].check(7, record{}); err != nil {
		t.Error(err)
	}
}

func TestValueNamesItsWriter(t *testing.T) {
	t.Parallel()
	v := newValue()
	want := idFor(3, 999, 123_456)
	setValue(v, want, 9876)
	id, key, err := parseValue(v)
	if err != nil || id != want || key != 9876 {
		t.Errorf("got write %x of key %d (%v), want %x of 9876", id, key, err, want)
	}
	if !isValueOf(v, 9876) || isValueOf(v, 9877) || isValueOf(v[1:], 9876) {
		t.Error("isValueOf does not check the key of a value")
	}
}
