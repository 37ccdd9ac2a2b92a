package transport

import (
	"encoding/json"
	"fmt"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// decodeCommands reads the body of a propose request. The commands may be parts of the body, which therefore
// must not be used again.
func decodeCommands(body []byte) ([][]byte, error) {
	if commands, ok := scanCommands(body); ok {
		return commands, nil
	}
	return parseCommands(body)
}

func scanCommands(body []byte) ([][]byte, bool) {
	s := scanner{text: body}
	s.want(`{"commands":[`)
	commands := scanList(&s)
	s.want(`]}`)
	return commands, s.done()
}

// scanList reads values with commas between them, up to the bracket that ends the list.
func scanList(s *scanner) [][]byte {
	if s.bad || s.peek(`]`) {
		return nil
	}
	values := make([][]byte, 0, (len(s.text)-s.at)/typicalEntry+1)
	for {
		values = append(values, s.value())
		if s.bad || !s.take(`,`) {
			return values
		}
	}
}

func parseCommands(body []byte) ([][]byte, error) {
	var w struct {
		Commands []json.RawMessage `json:"commands"`
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, err
	}
	var commands [][]byte
	for i, command := range w.Commands {
		if len(command) == 0 {
			return nil, fmt.Errorf("commands[%d] is empty", i)
		}
		commands = append(commands, command)
	}
	return commands, nil
}

// decodeOutcomes reads the body that answers a propose request of count commands.
func decodeOutcomes(body []byte, count int) ([]node.Outcome, error) {
	outcomes, ok := scanOutcomes(body, count)
	if !ok {
		var err error
		if outcomes, err = parseOutcomes(body); err != nil {
			return nil, err
		}
	}
	if len(outcomes) != count {
		return nil, fmt.Errorf("%d outcomes for %d commands", len(outcomes), count)
	}
	return outcomes, nil
}

func scanOutcomes(body []byte, count int) ([]node.Outcome, bool) {
	s := scanner{text: body}
	outcomes := make([]node.Outcome, 0, count)
	s.want(`{"outcomes":[`)
	for !s.bad && !s.peek(`]`) {
		if len(outcomes) > 0 {
			s.want(`,`)
		}
		outcomes = append(outcomes, scanOutcome(&s))
	}
	s.want(`]}`)
	return outcomes, s.done()
}

func scanOutcome(s *scanner) node.Outcome {
	if s.peek(`{"error":`) {
		var w outcomeWire
		if err := json.Unmarshal(s.value(), &w); err != nil || w.Error == nil {
			s.bad = true
			return node.Outcome{}
		}
		return node.Outcome{Err: w.Error.err()}
	}
	var o node.Outcome
	o.Index = raft.Index(s.uint(`{"index":`))
	o.Term = raft.Term(s.uint(`,"term":`))
	s.want(`,"result":`)
	text := s.value()
	s.want(`}`)
	if s.bad {
		return node.Outcome{}
	}
	result, err := kv.ParseResult(text)
	s.bad = err != nil
	o.Result = result
	return o
}

type outcomeWire struct {
	Index  raft.Index      `json:"index"`
	Term   raft.Term       `json:"term"`
	Result json.RawMessage `json:"result"`
	Error  *errorWire      `json:"error"`
}

func parseOutcomes(body []byte) ([]node.Outcome, error) {
	var w struct {
		Outcomes []outcomeWire `json:"outcomes"`
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, err
	}
	outcomes := make([]node.Outcome, 0, len(w.Outcomes))
	for i, o := range w.Outcomes {
		if o.Error != nil {
			outcomes = append(outcomes, node.Outcome{Err: o.Error.err()})
			continue
		}
		result, err := kv.ParseResult(o.Result)
		if err != nil {
			return nil, fmt.Errorf("outcomes[%d]: %w", i, err)
		}
		outcomes = append(outcomes, node.Outcome{Index: o.Index, Term: o.Term, Result: result})
	}
	return outcomes, nil
}
