package kv

import "bytes"

// typeSlack is more than the content type that an operation stores without naming one.
const typeSlack = 32

// innerWrites are the beginnings of the operations of a transaction that may add a record. A value that has such a text
// counts for more than it adds.
var innerWrites = [...][]byte{
	[]byte(`{"put":{"key":"`), []byte(`{"set":{"key":"`), []byte(`{"incr":{"key":"`), []byte(`{"cas":{"key":"`),
}

// Growth returns a bound of the bytes that a command in its canonical form may add to Stats.LiveBytes, without parsing
// it; 0 for a command that only removes. A transaction counts with all its operations.
func Growth(command []byte) int64 {
	switch opOf(command) {
	case OpDelete, OpCompact, OpGet:
		return 0
	case OpTxn:
		writes := 0
		for _, start := range innerWrites {
			writes += bytes.Count(command, start)
		}
		return int64(len(command)) + int64(writes)*(recordOverhead+typeSlack)
	}
	return recordOverhead + typeSlack + int64(len(command))
}

// MayGrow reports whether a command may add bytes to the store: it has an operation that writes a value, in any branch.
// It parses transactions, but for those that begin with such an operation, as every Group does.
func MayGrow(command []byte) bool {
	switch opOf(command) {
	case OpDelete, OpCompact, OpGet:
		return false
	case OpTxn:
		begin := bytes.TrimPrefix(command, []byte(groupStart))
		if len(begin) < len(command) && (bytes.HasPrefix(begin, innerWrites[0]) || bytes.HasPrefix(begin, innerWrites[1])) {
			return true
		}
	default:
		return true
	}
	parsed, err := Parse(command)
	txn, is := parsed.(*Txn)
	if err != nil || !is {
		return true
	}
	for _, branch := range [][]Operation{txn.Then, txn.Else} {
		for _, o := range branch {
			switch o.(type) {
			case *Delete, *Read, *Count:
			default:
				return true
			}
		}
	}
	return false
}

// opOf returns the operation of a command in its canonical form, "" for any other text.
func opOf(command []byte) Op {
	const start = `{"op":"`
	if !bytes.HasPrefix(command, []byte(start)) {
		return ""
	}
	name, _, found := bytes.Cut(command[len(start):min(len(command), len(start)+16)], []byte(`"`))
	if !found {
		return ""
	}
	for i := range operations {
		if string(name) == string(operations[i].op) {
			return operations[i].op
		}
	}
	return ""
}
