package kv

import (
	"fmt"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Compact gives up the history before a revision, which becomes the oldest one that can be read. A revision that is
// compacted already changes nothing and succeeds.
type Compact struct {
	Revision uint64
}

var compactFields = []string{"revision"}

// Op returns OpCompact.
func (o *Compact) Op() Op { return OpCompact }

// Validate implements Operation.
func (o *Compact) Validate() error {
	if o.Revision == 0 {
		return invalidf(`field "revision" must be a revision from 1 on`)
	}
	return nil
}

// AppendJSON implements Operation.
func (o *Compact) AppendJSON(dst []byte) []byte { return appendCommand(dst, o) }

func (o *Compact) appendFields(dst []byte) []byte {
	return jsontext.AppendUint(dst, `"revision":`, o.Revision)
}

// Size implements Operation.
func (o *Compact) Size() int { return namesSize }

func (o *Compact) scan(s jsontext.Scanner) jsontext.Scanner {
	*o = Compact{Revision: s.Uint(`"revision":`)}
	return s
}

func (o *Compact) decode(d decoder) (err error) {
	*o = Compact{}
	text, ok := find(d.fields, "revision")
	if !ok {
		return invalidf(`field "revision" is missing; op compact needs it`)
	}
	if o.Revision, err = strconv.ParseUint(string(text), 10, 64); err != nil {
		return invalidf(`field "revision" must be a revision, a whole number like 42; it is %s`, abbreviate(string(text)))
	}
	return nil
}

// decide answers with the oldest revision that can be read after the command.
func (o *Compact) decide(s *Store, e Entry, changes []change) (Result, []change) {
	switch {
	case o.Revision >= e.Revision:
		return Result{Revision: s.compacted, Code: CodeInvalid, Message: fmt.Sprintf(
			`field "revision" is %d, which is in the future; it must be at most %d`, o.Revision, e.Revision-1)}, changes
	case o.Revision <= s.compacted:
		return Result{Revision: s.compacted}, changes
	}
	return Result{Revision: o.Revision}, append(changes, change{kind: compacted, revision: o.Revision})
}
