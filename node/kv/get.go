package kv

import (
	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Get reads a key. Reads do not go through the log, but a log may hold one, which changes nothing.
type Get struct {
	Key []byte
}

var getFields = []string{"key"}

// Op returns OpGet.
func (g *Get) Op() Op { return OpGet }

// Validate implements Operation.
func (g *Get) Validate() error { return validateKey(g.Key) }

// AppendJSON implements Operation.
func (g *Get) AppendJSON(dst []byte) []byte { return appendCommand(dst, g) }

func (g *Get) appendFields(dst []byte) []byte { return appendKey(dst, g.Key) }

// Size implements Operation.
func (g *Get) Size() int { return namesSize + len(g.Key) }

func (g *Get) scan(s jsontext.Scanner) jsontext.Scanner {
	*g = Get{Key: scanKey(&s)}
	return s
}

func (g *Get) decode(d decoder) (err error) {
	*g = Get{}
	g.Key, err = d.key()
	return err
}

func (g *Get) decide(s *Store, _ Entry, changes []change) (Result, []change) {
	_, current := s.find(g.Key)
	return Result{Revision: revisionOf(current)}, changes
}
