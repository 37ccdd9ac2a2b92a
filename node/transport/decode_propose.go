package transport

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// maxCommands bounds the commands of one propose request, as what a command costs here has nothing to do with its
// length (trap H4). It is twice as many as a follower sends at a time.
const maxCommands = 4096

// decodeCommands reads the body of a propose request: from 1 to maxCommands commands. They may be parts of the body,
// which therefore must not be used again.
func decodeCommands(body []byte) ([][]byte, error) {
	commands, ok := scanCommands(body)
	if !ok {
		var err error
		if commands, err = parseCommands(body); err != nil {
			return nil, err
		}
	}
	if len(commands) == 0 {
		return nil, errors.New("there are no commands in it")
	}
	return commands, nil
}

func scanCommands(body []byte) ([][]byte, bool) {
	s := jsontext.Scan(body)
	s.Want(`{"commands":[`)
	commands := scanList(&s, maxCommands)
	s.Want(`]}`)
	return commands, s.Done()
}

// scanList reads values with commas between them, up to the bracket that ends the list, and no more than limit.
func scanList(s *jsontext.Scanner, limit int) [][]byte {
	if s.Bad() || s.Peek(`]`) {
		return nil
	}
	values := make([][]byte, 0, min(s.Left()/typicalEntry+1, limit))
	for {
		values = append(values, s.Follow())
		if s.Bad() || !s.Take(`,`) {
			return values
		}
		if len(values) == limit {
			s.Fail(true)
			return nil
		}
	}
}

func parseCommands(body []byte) ([][]byte, error) {
	var commands [][]byte
	var w struct {
		Commands jsontext.List `json:"commands"`
	}
	w.Commands = jsontext.List{Name: "commands", Take: func(command []byte) error {
		if len(commands) == maxCommands {
			return fmt.Errorf("one request has at most %d commands", maxCommands)
		}
		commands = append(commands, command)
		return nil
	}}
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, err
	}
	return commands, nil
}

// decodeOutcomes reads the body that answers a propose request of count commands.
func decodeOutcomes(body []byte, count int) ([]node.Outcome, error) {
	outcomes, ok := scanOutcomes(body, count)
	if !ok {
		var err error
		if outcomes, err = parseOutcomes(body, count); err != nil {
			return nil, err
		}
	}
	if len(outcomes) != count {
		return nil, fmt.Errorf("%d outcomes for %d commands", len(outcomes), count)
	}
	return outcomes, nil
}

func scanOutcomes(body []byte, count int) ([]node.Outcome, bool) {
	s := jsontext.Scan(body)
	outcomes := make([]node.Outcome, 0, count)
	s.Want(`{"outcomes":[`)
	for !s.Bad() && len(outcomes) < count && !s.Peek(`]`) {
		if len(outcomes) > 0 {
			s.Want(`,`)
		}
		outcomes = append(outcomes, scanOutcome(&s))
	}
	s.Want(`]}`)
	return outcomes, s.Done()
}

func scanOutcome(s *jsontext.Scanner) node.Outcome {
	if s.Peek(`{"error":`) {
		var w outcomeWire
		if err := json.Unmarshal(s.Follow(), &w); err != nil || w.Error == nil {
			s.Fail(true)
			return node.Outcome{}
		}
		return node.Outcome{Err: w.Error.err()}
	}
	var o node.Outcome
	o.Index = raft.Index(s.Uint(`{"index":`))
	o.Term = raft.Term(s.Uint(`,"term":`))
	s.Want(`,"result":`)
	text := s.Follow()
	s.Want(`}`)
	if s.Bad() {
		return node.Outcome{}
	}
	result, err := kv.ParseResult(text)
	s.Fail(err != nil)
	o.Result = result
	return o
}

type outcomeWire struct {
	Index  raft.Index      `json:"index"`
	Term   raft.Term       `json:"term"`
	Result json.RawMessage `json:"result"`
	Error  *errorWire      `json:"error"`
}

func parseOutcomes(body []byte, count int) ([]node.Outcome, error) {
	outcomes := make([]node.Outcome, 0, count)
	var w struct {
		Outcomes jsontext.List `json:"outcomes"`
	}
	w.Outcomes = jsontext.List{Name: "outcomes", Take: jsontext.Each(func(w *outcomeWire) error {
		if len(outcomes) == count {
			return fmt.Errorf("there are more of them than the %d commands", count)
		}
		o, err := w.outcome()
		outcomes = append(outcomes, o)
		return err
	})}
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, err
	}
	return outcomes, nil
}

func (w *outcomeWire) outcome() (node.Outcome, error) {
	if w.Error != nil {
		return node.Outcome{Err: w.Error.err()}, nil
	}
	result, err := kv.ParseResult(w.Result)
	return node.Outcome{Index: w.Index, Term: w.Term, Result: result}, err
}
