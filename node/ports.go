package node

import (
	"context"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// Storage is the node's disk: SQLite in production, simulated in tests. Only the node's loop calls Save,
// NoteCommit and SaveFacts; Range may be called from any goroutine.
type Storage interface {
	// Save makes the hard state and the entries durable in one transaction, and returns only when they are.
	// The entries follow each other without a gap and replace everything stored at and after entries[0].Index;
	// no entries leave the log as it is. Beside entries the commit index may stay as it was for a while; without
	// entries it is written too. An error means that nothing is known about what is on the disk: the
	// caller must end the process (trap T53).
	Save(state raft.HardState, entries []raft.Entry) error
	// NoteCommit records the commit index when no Save does. It does not wait for the disk: the end of the process does
	// not undo it, a loss of power may. An error means the same as one of Save.
	NoteCommit(index raft.Index) error
	// SaveFacts makes key-value pairs of the node_state table durable in one transaction.
	SaveFacts(facts map[string]string) error
	// Facts reads every pair of the node_state table.
	Facts() (map[string]string, error)
	// LoadLog reads the hard state and the log, checking every entry. It returns the entries after the index that is
	// applied, and of those before it the last ones whose commands take at most tailBytes.
	LoadLog(applied raft.Index, tailBytes int) (raft.HardState, raft.Log, error)
	// ReadLog reads entries from an index on, at most so many, and at least one. The part's Start is the position before
	// them. The error wraps raft.ErrRemoved if the entry at from was removed. Any goroutine may call it.
	ReadLog(from raft.Index, maxEntries, maxBytes int) (raft.Log, error)
	// Cut removes the entries up to an index from the disk, with the seats that they assigned. The state of the last
	// SaveState includes them (trap T50). It may leave them to the next saves, and reports whether some wait; a later call
	// removes some of those if there was no save in between. An error means the same as one of Save.
	Cut(to raft.Index, seats []raft.Seat, config raft.Configuration) (waits bool, err error)
	// LoadState reads the checkpoint of the state machine, checking every row; an empty store if there is none. It is
	// called before LoadLog. A snapshot.ErrDamagedState means that there is no usable checkpoint; LoadLog works all the
	// same, and nothing else that concerns the state does before SetStateAside.
	LoadState() (*kv.Store, error)
	// SetStateAside keeps a checkpoint that LoadState refuses as damaged where it is not in the way.
	SetStateAside() error
	// SaveState makes a checkpoint durable, in one transaction (trap T44). It is never called twice at once, and not by
	// the loop. An error means the same as one of Save, unless it wraps snapshot.ErrNoRoom: then the checkpoint on the
	// disk is as before. With a snapshot.ErrDamagedState it is damaged, and only one of everything may follow, which
	// needs nothing of it.
	SaveState(c snapshot.Checkpoint) error
	// OpenSnapshot returns a copy of a checkpoint that includes the entries up to an index. Several callers may share it.
	// With a snapshot.ErrDamagedState the checkpoint is damaged: the next SaveState must be one of everything.
	OpenSnapshot(including raft.Index) (snapshot.Source, error)
	// ReceiveSnapshot begins to receive a snapshot, or goes on with it if a part of it is on the disk. A part of another
	// snapshot is removed.
	ReceiveSnapshot(d snapshot.Description) (snapshot.Sink, error)
	// ScrubState reads up to limit rows of the checkpoint from a position on, "" for the first, and checks each. It
	// returns the next position, "" at the end. Damage is a snapshot.ErrDamagedState, of a page as of a row.
	ScrubState(from string, limit int) (next string, err error)
	// ScrubLog does the same with the log. It returns the last index that it read, 0 at the end; with a
	// snapshot.ErrDamagedLog, that of the damaged entry, 0 if that is unknown.
	ScrubLog(from raft.Index, limit int) (last raft.Index, err error)
	// Range reads up to limit stored entries, from index from on, or from the first on if that is later; fewer, but at
	// least one, if they are long.
	Range(from raft.Index, limit int) ([]raft.Entry, error)
	// Checkpoint moves what is in the write-ahead log into the database; for a graceful stop.
	Checkpoint() error
	// Close releases the directory. Nothing may be called after it.
	Close() error
}

// Transport carries messages to the other nodes: HTTP/JSON in production, simulated in tests.
type Transport interface {
	// Send hands messages to the queues of their targets and never blocks: a full queue drops the message,
	// because Raft sends again. Answers come back through Node.Receive, failures through Node.Unreachable.
	// The slice is the caller's again afterwards; what the messages point to never changes.
	Send(messages []raft.Message)
	// SetPeers replaces the nodes to which messages may be sent, by the configuration of the log. It does not block.
	SetPeers(peers []identity.Member)
	// Propose asks the leader to append commands and waits for their outcomes, one per command, in order.
	// An error that wraps ErrNotSent means that the leader never saw the request.
	Propose(ctx context.Context, leader raft.NodeID, commands [][]byte) ([]Outcome, error)
	// ReadIndex asks the leader, in this node's term, for a confirmed read index (thesis 6.4). If lease is true, the
	// leader's lease may confirm it.
	ReadIndex(ctx context.Context, leader raft.NodeID, term raft.Term, lease bool) (raft.ReadPoint, error)
	// Genesis takes a request of the founding to a peer.
	Genesis(ctx context.Context, peer raft.NodeID, r identity.GenesisRequest) (identity.GenesisAnswer, error)
	// Fingerprint asks a peer for its fingerprint at the index of this node's.
	Fingerprint(ctx context.Context, peer raft.NodeID, ours divergence.Fingerprint) (divergence.Fingerprint, error)
	// StateDigest asks a peer for the digest of its state after the check entry at an index.
	StateDigest(ctx context.Context, peer raft.NodeID, index raft.Index) (divergence.State, error)
	// Transfer asks the leader to hand over as Node.TransferLeadershipIn does, and waits until it has. An error that wraps
	// ErrNotSent means that the leader never saw the request.
	Transfer(ctx context.Context, leader raft.NodeID, term raft.Term, to raft.NodeID) error
	// ChangeMembers asks the leader to change the members, as Node.HandleMemberChange does. An error that wraps ErrNotSent
	// means that the leader never saw the request.
	ChangeMembers(ctx context.Context, leader raft.NodeID, change api.MemberChange) (api.MemberChangeResponse, error)
	// Offer gives an identity to the empty node at a peer's address.
	Offer(ctx context.Context, peer raft.NodeID, offer identity.Offer) error
	// StatusAt asks the node at the URL of a peer port how it sees itself; it need not be a peer.
	StatusAt(ctx context.Context, url string) (PeerStatus, error)
	// Snapshot sends a part of a snapshot to a peer and returns its answer.
	Snapshot(ctx context.Context, peer raft.NodeID, chunk snapshot.Chunk) (snapshot.Answer, error)
	// Status asks a peer how it sees itself.
	Status(ctx context.Context, peer raft.NodeID) (PeerStatus, error)
}

// Outcome is what became of one proposal.
type Outcome struct {
	// Index and Term name the entry that carried the command; the index is the revision of its change.
	Index raft.Index
	Term  raft.Term
	// Result is what the state machine answered, if Err is nil.
	Result kv.Result
	// Err is nil once the command was committed and applied, whatever the state machine thought of it.
	// With ErrOutcomeUnknown it may have been or may yet be; with every other error it was not.
	Err error
}
