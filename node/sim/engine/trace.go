package engine

import (
	"fmt"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// noteKind is what a note is about.
type noteKind uint8

const (
	noteStart noteKind = iota + 1
	noteEnd
	noteCrash
	noteFault
	noteRole
	noteSent
	noteArrives
	noteText
)

// note is something that happened, kept as it is and put into words only if the words are printed.
type note struct {
	step    int
	at      time.Duration
	kind    noteKind
	node    raft.NodeID
	text    string
	message raft.Message
}

// keptNotes is how many of the last notes a violation shows.
const keptNotes = 60

// Note takes down something that happened, in words.
func (w *World) Note(format string, args ...any) {
	w.note(note{kind: noteText, text: fmt.Sprintf(format, args...)})
}

// NoteFault takes down a fault that struck a node, or with 0 as its id no node in particular.
func (w *World) NoteFault(id raft.NodeID, format string, args ...any) {
	w.note(note{kind: noteFault, node: id, text: fmt.Sprintf(format, args...)})
}

func (w *World) note(n note) {
	n.step, n.at = w.Before+w.steps, w.now
	w.notes[w.noted%keptNotes] = n
	w.noted++
	if w.cfg.Trace != nil {
		_, _ = fmt.Fprintln(w.cfg.Trace, n.words())
	}
}

// LastNotes puts the last notes into words, the oldest first.
func (w *World) LastNotes() []string {
	var lines []string
	for i := max(0, w.noted-keptNotes); i < w.noted; i++ {
		lines = append(lines, w.notes[i%keptNotes].words())
	}
	return lines
}

func (n *note) words() string {
	line := fmt.Sprintf("%8d %11.6fs ", n.step, n.at.Seconds())
	who := fmt.Sprintf("node %d ", n.node)
	switch n.kind {
	case noteStart:
		return line + who + "starts, " + n.text
	case noteEnd:
		return line + who + "ends: " + n.text
	case noteCrash:
		return line + who + "is killed"
	case noteRole:
		return line + who + n.text
	case noteSent:
		return line + who + "sends " + Describe(&n.message)
	case noteArrives:
		return line + who + "gets " + Describe(&n.message)
	case noteFault:
		if n.node != 0 {
			line += who
		}
	}
	return line + n.text
}

// Describe puts a message into words.
func Describe(m *raft.Message) string {
	var b strings.Builder
	to := func(what string) { _, _ = fmt.Fprintf(&b, "%s %d->%d term %d", what, m.From, m.To, m.Term) }
	switch m.Type {
	case raft.MsgRequestVote:
		to(voteName(m) + "?")
		_, _ = fmt.Fprintf(&b, ", its log ends at (%d, term %d)", m.LastLogIndex, m.LastLogTerm)
		if m.Transfer {
			b.WriteString(", handed over")
		}
	case raft.MsgRequestVoteResponse:
		to(voteName(m))
		b.WriteString(map[bool]string{true: ": yes", false: ": no"}[m.VoteGranted])
	case raft.MsgAppendEntries:
		to("append")
		_, _ = fmt.Fprintf(&b, " #%d after (%d, term %d), %d entries, commit %d, round %d", m.RequestID,
			m.PrevLogIndex, m.PrevLogTerm, len(m.Entries), m.LeaderCommit, m.ReadSeq)
	case raft.MsgAppendEntriesResponse:
		to("append")
		if m.Success {
			_, _ = fmt.Fprintf(&b, " #%d: has up to %d, round %d", m.RequestID, m.MatchIndex, m.ReadSeq)
		} else {
			_, _ = fmt.Fprintf(&b, " #%d: conflict at (%d, term %d), round %d", m.RequestID, m.ConflictIndex,
				m.ConflictTerm, m.ReadSeq)
		}
	case raft.MsgTimeoutNow:
		to("campaign now")
	case raft.MsgTimeoutNowResponse:
		to("campaigns")
	}
	return b.String()
}

func voteName(m *raft.Message) string {
	if m.PreVote {
		return "pre-vote"
	}
	return "vote"
}

// NameLinks describes links.
func NameLinks(links []Link) string {
	names := make([]string, len(links))
	for i, l := range links {
		names[i] = fmt.Sprintf("%d->%d", l.From, l.To)
	}
	return strings.Join(names, " ")
}
