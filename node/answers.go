package node

import "context"

// AnswerBudget bounds the memory that the answers to one call take. An implementation may be called from any goroutine,
// also after its call has ended.
type AnswerBudget interface {
	// Take charges bytes, and reports whether there was room for them.
	Take(bytes int) bool
}

const (
	// smallAnswer is how long a value in an answer may be without being charged: a number is shorter.
	smallAnswer = 256
	// maxAnswerBytes is what the values in the answers to one call may take if the caller gave no budget.
	maxAnswerBytes = 8 << 20
)

type answerBudgetKey struct{}

// WithAnswerBudget returns a context with which Propose and HandlePropose charge the values in their outcomes to a
// budget. Without room for the value of a command that changed nothing its outcome is ErrOverloaded, and without room
// for what a transaction read, beside what it changed, the outcome wraps ErrOutcomeUnknown.
func WithAnswerBudget(ctx context.Context, b AnswerBudget) context.Context {
	return context.WithValue(ctx, answerBudgetKey{}, b)
}

// AnswerBudgetOf returns the budget of a context; nil if it has none.
func AnswerBudgetOf(ctx context.Context) AnswerBudget {
	b, _ := ctx.Value(answerBudgetKey{}).(AnswerBudget)
	return b
}

// keep returns the outcome of a command as its caller may hold it. The value of a cas that did not take place may be
// large, and so may what a transaction read. Without room for it the command fails for want of memory, and may be sent
// again if it changed nothing.
func (c *call) keep(o Outcome, command []byte) Outcome {
	size := o.Result.ValueSize(command)
	switch {
	case o.Err != nil, size <= smallAnswer, c.take(size):
		return o
	case o.Result.Revision == uint64(o.Index):
		return Outcome{Err: errResultLost}
	}
	return Outcome{Err: errNoRoom}
}

func (c *call) take(bytes int) bool {
	if c.budget != nil {
		return c.budget.Take(bytes)
	}
	return c.kept.Add(int64(bytes)) <= maxAnswerBytes
}
