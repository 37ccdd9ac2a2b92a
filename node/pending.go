package node

import (
	"github.com/kontiki-dev/kontiki/node/raft"
)

// proposal is one command on its way into the log, and the place for its outcome.
type proposal struct {
	command []byte
	call    *call
	slot    int
}

// pending is a proposal that is in the log and waits to be applied.
type pending struct {
	index raft.Index
	term  raft.Term
	proposal
}

// pendings are the proposals of this node that stand in its log and wait, by rising index.
type pendings struct {
	list []pending
}

// add appends the proposals of one append. Older ones at or above the first index were cut off the log when
// another leader wrote it; they may still stand in a log that wins, so their fate is unknown.
func (p *pendings) add(first raft.Index, term raft.Term, proposals []proposal) {
	keep := len(p.list)
	for keep > 0 && p.list[keep-1].index >= first {
		keep--
	}
	finishAll(p.list[keep:], ErrOutcomeUnknown)
	p.list = p.list[:keep]
	for i, proposal := range proposals {
		p.list = append(p.list, pending{first + raft.Index(i), term, proposal})
	}
}

// take returns the proposals from index first to last, whose entries are committed. Those below first were passed over:
// a snapshot stands in the place of their entries, so their outcome is unknown.
func (p *pendings) take(first, last raft.Index) []pending {
	p.passOver(first - 1)
	count := 0
	for count < len(p.list) && p.list[count].index <= last {
		count++
	}
	if count == 0 {
		return nil
	}
	taken := p.list[:count:count]
	p.list = p.list[count:]
	if len(p.list) == 0 {
		p.list = nil
	}
	return taken
}

// passOver answers the proposals at or below an index after which the log starts. Their entries are not applied one by
// one, so nothing shows whether they, or others, were committed there.
func (p *pendings) passOver(start raft.Index) {
	count := 0
	for count < len(p.list) && p.list[count].index <= start {
		count++
	}
	finishAll(p.list[:count], ErrOutcomeUnknown)
	p.list = p.list[count:]
}

// fail answers all that wait with the same error.
func (p *pendings) fail(err error) {
	finishAll(p.list, err)
	p.list = nil
}

func finishAll(list []pending, err error) {
	for _, w := range list {
		w.call.finish(w.slot, Outcome{Err: err})
	}
}
