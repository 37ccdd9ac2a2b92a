package transport

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

const (
	// maxChunkHeader bounds the line before the data of a chunk. With 99 members and their seats it has up to 64 KiB, if
	// an address has 256 bytes.
	maxChunkHeader  = 80 << 10
	maxChunkRequest = maxChunkHeader + snapshot.MaxChunkBytes
)

// ofChunks returns the headers of requests whose body is a chunk, from those of every request.
func ofChunks(header http.Header) http.Header {
	header = header.Clone()
	header.Set("Content-Type", "application/octet-stream")
	return header
}

// chunkHeader is the line before the data of a chunk (paper, figure 13).
type chunkHeader struct {
	Term              raft.Term   `json:"term"`
	LeaderID          raft.NodeID `json:"leader_id"`
	LastIncludedIndex raft.Index  `json:"last_included_index"`
	LastIncludedTerm  raft.Term   `json:"last_included_term"`
	Digest            raft.Digest `json:"digest,omitempty"`
	// Configuration is absent if it is the initial one.
	Configuration *chunkConfiguration  `json:"configuration,omitempty"`
	Seats         perMember[raft.Seat] `json:"seats,omitempty"`
	SnapshotID    string               `json:"snapshot_id"`
	Size          int64                `json:"size"`
	SHA256        hexSum               `json:"sha256"`
	Offset        int64                `json:"offset"`
	Done          bool                 `json:"done"` // the chunk ends the snapshot
}

// hexSum is a SHA-256 in hexadecimal.
type hexSum [32]byte

// MarshalText implements encoding.TextMarshaler.
func (s hexSum) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *hexSum) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(s) || len(text)%2 != 0 {
		return fmt.Errorf("a SHA-256 has %d hexadecimal digits, and not %d", hex.EncodedLen(len(s)), len(text))
	}
	_, err := hex.Decode(s[:], text)
	return err
}

// chunkConfiguration is a raft.Configuration whose lists are bounded.
type chunkConfiguration struct {
	Index    raft.Index             `json:"index"`
	Members  perMember[raft.Member] `json:"members"`
	Outgoing perMember[raft.NodeID] `json:"outgoing,omitempty"`
	LastID   raft.NodeID            `json:"last_id"`
}

// perMember is read element by element, and has at most one for each member (trap H4).
type perMember[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (p *perMember[T]) UnmarshalJSON(text []byte) error {
	list := jsontext.List{Name: "a list with an element for each member", Take: jsontext.Each(func(one *T) error {
		if len(*p) == raft.MaxMembers {
			return fmt.Errorf("there are at most %d", raft.MaxMembers)
		}
		*p = append(*p, *one)
		return nil
	})}
	return list.UnmarshalJSON(text)
}

// appendChunk appends the body of an install-snapshot request: a line of JSON, and the data as it is (trap H5).
func appendChunk(dst []byte, c *snapshot.Chunk) ([]byte, error) {
	var configuration *chunkConfiguration
	if cfg := c.Start.Configuration; cfg.Index > 0 {
		configuration = &chunkConfiguration{cfg.Index, cfg.Members, cfg.Outgoing, cfg.LastID}
	}
	header, err := json.Marshal(chunkHeader{
		Term: c.Term, LeaderID: c.From, LastIncludedIndex: c.Start.Index, LastIncludedTerm: c.Start.Term,
		Digest: c.Start.Digest, Configuration: configuration, Seats: c.Start.Seats, SnapshotID: c.ID, Size: c.Size,
		SHA256: c.Sum, Offset: c.Offset, Done: c.Last(),
	})
	if err != nil {
		return nil, err
	}
	return append(append(append(dst, header...), '\n'), c.Data...), nil
}

// snapshotID is what a snapshot may be called, so that a name which a peer sends may be part of the name of a file.
var snapshotID = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$`)

// decodeChunk reads the body of an install-snapshot request. The data is a part of the body.
func decodeChunk(body []byte) (snapshot.Chunk, error) {
	end := bytes.IndexByte(body[:min(len(body), maxChunkHeader)], '\n')
	if end < 0 {
		return snapshot.Chunk{}, fmt.Errorf("it must begin with a line of JSON of at most %d bytes", maxChunkHeader)
	}
	var w chunkHeader
	if err := json.Unmarshal(body[:end], &w); err != nil {
		return snapshot.Chunk{}, err
	}
	c := snapshot.Chunk{
		Description: snapshot.Description{ID: w.SnapshotID, Size: w.Size, Sum: w.SHA256, Start: raft.LogStart{
			Index: w.LastIncludedIndex, Term: w.LastIncludedTerm, Digest: w.Digest, Seats: w.Seats,
		}},
		Term: w.Term, From: w.LeaderID, Offset: w.Offset, Data: body[end+1:],
	}
	if cfg := w.Configuration; cfg != nil {
		c.Start.Configuration = raft.Configuration{
			Index: cfg.Index, Members: cfg.Members, Outgoing: cfg.Outgoing, LastID: cfg.LastID,
		}
	}
	if err := c.Check(); err != nil {
		return snapshot.Chunk{}, err
	}
	if !snapshotID.MatchString(c.ID) {
		return snapshot.Chunk{}, fmt.Errorf("snapshot_id must have 1 to 128 letters, digits, dots, dashes and underscores, "+
			"without a dot at the beginning, and not be %.200q", c.ID)
	}
	if c.Last() != w.Done {
		return snapshot.Chunk{}, fmt.Errorf("bytes %d to %d of %d were sent with done as %t", c.Offset,
			c.Offset+int64(len(c.Data)), c.Size, w.Done)
	}
	return c, nil
}

// snapshotAnswer answers a chunk.
type snapshotAnswer struct {
	Term      raft.Term `json:"term"`
	Offset    int64     `json:"offset"`
	Installed bool      `json:"installed"`
}

func appendSnapshotAnswer(dst []byte, a snapshot.Answer) []byte {
	dst = jsontext.AppendUint(dst, `{"term":`, uint64(a.Term))
	dst = jsontext.AppendUint(dst, `,"offset":`, uint64(a.Offset))
	dst = jsontext.AppendBool(dst, `,"installed":`, a.Installed)
	return append(dst, '}')
}

// decodeSnapshotAnswer reads the answer to a chunk of a snapshot of so many bytes.
func decodeSnapshotAnswer(body []byte, size int64) (snapshot.Answer, error) {
	var w snapshotAnswer
	if err := json.Unmarshal(body, &w); err != nil {
		return snapshot.Answer{}, err
	}
	if w.Term == 0 || w.Offset < 0 || w.Offset > size {
		return snapshot.Answer{}, fmt.Errorf("it needs a term, and an offset up to %d; it has %d and %d",
			size, w.Term, w.Offset)
	}
	return snapshot.Answer(w), nil
}

// Snapshot sends a part of a snapshot to a peer and returns its answer. At most one chunk to a peer is in flight, on a
// connection of its own (trap H1). Its errors wrap node.ErrNotSent if the chunk surely did not arrive, and the error of
// package node with which the peer refused it. After every error the chunk may be sent again.
func (t *Transport) Snapshot(ctx context.Context, peer raft.NodeID, c snapshot.Chunk) (snapshot.Answer, error) {
	held := t.cfg.Memory.NewAccount(budget.Peers, 0)
	defer held.Close()
	room := maxChunkHeader + len(c.Data)
	if !held.Take(room) {
		return snapshot.Answer{}, fmt.Errorf("snapshot: %w: there is no memory for a chunk of %d bytes",
			node.ErrOverloaded, len(c.Data))
	}
	text, err := appendChunk(make([]byte, 0, room), &c)
	if err != nil {
		return snapshot.Answer{}, fmt.Errorf("snapshot: %w", &notSent{err})
	}
	text, _, err = t.ask(ctx, peer, http.MethodPost, pathSnapshot, text, maxSmallAnswer)
	if err != nil {
		return snapshot.Answer{}, fmt.Errorf("snapshot: %w", err)
	}
	answer, err := decodeSnapshotAnswer(text, c.Size)
	if err != nil {
		return answer, fmt.Errorf("snapshot: cannot read the answer of node %d: %w", peer, err)
	}
	return answer, nil
}

// installSnapshot answers a leader that sends a part of a snapshot.
func (t *Transport) installSnapshot(in *incoming, dst []byte) ([]byte, *refusal) {
	c, err := decodeChunk(in.body)
	if err != nil {
		return nil, refuse(api.CodeInvalid, "cannot read the body: %s", err)
	}
	if c.From != in.from {
		return nil, refuse(api.CodeInvalid, "the body is from node %d, but %s is %d", c.From, headerFrom, in.from)
	}
	answer, err := in.receiver.HandleSnapshot(in.ctx, c)
	t.judge(in.from, err)
	if err != nil {
		return nil, refuseWith(err)
	}
	return appendSnapshotAnswer(dst, answer), nil
}
