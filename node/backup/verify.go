package backup

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/storage"
)

// Report is what a verification found.
type Report struct {
	Path      string `json:"path"`
	Kind      Kind   `json:"kind"`
	OK        bool   `json:"ok"`
	ClusterID string `json:"cluster_id,omitempty"`
	NodeID    uint64 `json:"node_id,omitempty"`
	State     *State `json:"state"`            // null: there is none, or it cannot be read
	Log       *Log   `json:"log"`              // null: a file has none, or it cannot be read
	Bytes     int64  `json:"bytes,omitempty"`  // of a file
	SHA256    string `json:"sha256,omitempty"` // of a file
	// Damage states what is wrong; Unlisted is the number of further errors.
	Damage   []string `json:"damage"`
	Unlisted int      `json:"unlisted_damage,omitempty"`
	Warnings []string `json:"warnings"`
}

// Kind is what was verified.
type Kind string

// The kinds.
const (
	Directory Kind = "directory" // the data directory of a node
	File      Kind = "file"      // a backup
)

// State describes the state machine that was verified.
type State struct {
	Revision          uint64 `json:"revision"`
	Keys              int    `json:"keys"`
	LiveBytes         int64  `json:"live_bytes"`
	HistoryVersions   int    `json:"history_versions"`
	HistoryBytes      int64  `json:"history_bytes"`
	CompactedRevision uint64 `json:"compacted_revision"`
}

// Log describes the log that was verified, and the hard state.
type Log struct {
	FirstIndex  uint64 `json:"first_index"`
	LastIndex   uint64 `json:"last_index"`
	CommitIndex uint64 `json:"commit_index"`
	CurrentTerm uint64 `json:"current_term"`
	VotedFor    uint64 `json:"voted_for"`
}

// Verify reads and checks everything in a data directory or a backup, and changes nothing. The error states why it
// could not be checked; it wraps storage.ErrLocked if a node runs there.
func Verify(path string) (Report, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Report{}, err
	}
	if info.IsDir() {
		return verifyDirectory(path)
	}
	return verifyFile(path)
}

func verifyDirectory(path string) (Report, error) {
	v, err := storage.VerifyDirectory(path)
	if err != nil {
		return Report{}, err
	}
	r := newReport(path, Directory, v)
	if v.Log != nil {
		r.addIdentity(v)
		if differs := v.Log.Facts[snapshot.FactStateDiffers]; differs != "" && differs != "0" {
			r.Warnings = append(r.Warnings, "the state differs from that of a majority of the members, found by the check at "+
				"entry "+differs+"; the node serves nothing from it and waits for a snapshot")
		}
	}
	r.OK = len(r.Damage) == 0
	return r, nil
}

// addIdentity adds the identity in the log, and checks that the state is of the same cluster.
func (r *Report) addIdentity(v *storage.Verification) {
	who, err := identity.Read(v.Log.Facts)
	switch {
	case err != nil:
		r.Damage = append(r.Damage, err.Error())
		return
	case who == nil:
		r.Warnings = append(r.Warnings, "the node has no identity yet")
		return
	}
	r.ClusterID, r.NodeID = who.ClusterID, uint64(who.ID)
	if who.Seating == nil {
		r.Warnings = append(r.Warnings, "the cluster is not founded yet")
	}
	if v.State != nil && v.State.Facts[identity.FactClusterID] != who.ClusterID {
		r.Damage = append(r.Damage, fmt.Sprintf("the state is of cluster %q, and the log of cluster %q",
			v.State.Facts[identity.FactClusterID], who.ClusterID))
	}
}

func verifyFile(path string) (Report, error) {
	v, err := storage.VerifyFile(path)
	if err != nil {
		return Report{}, err
	}
	r := newReport(path, File, v)
	if v.State != nil {
		r.ClusterID = v.State.Facts[identity.FactClusterID]
	}
	sum, size, err := sumOf(path)
	if err != nil {
		return Report{}, err
	}
	r.Bytes, r.SHA256 = size, fmt.Sprintf("%x", sum)
	switch want, found, err := readSums(path); {
	case err != nil:
		r.Damage = append(r.Damage, err.Error())
	case !found:
		r.Warnings = append(r.Warnings, "there is no "+SumPath(path)+" to compare the hash with")
	case !slices.Contains(want, sum):
		r.Damage = append(r.Damage, wrongSum(path, sum, want[0], SumPath(path)).Error())
	}
	r.OK = len(r.Damage) == 0
	return r, nil
}

// wrongSum returns the error of a backup whose hash is not the one that a source has.
func wrongSum(path string, got, want Sum, source string) error {
	return fmt.Errorf("%s has the SHA-256 %x, and must have %x by %s", path, got, want, source)
}

// newReport returns the report of a verification.
func newReport(path string, kind Kind, v *storage.Verification) Report {
	r := Report{Path: path, Kind: kind, Damage: []string{}, Unlisted: v.Unlisted, Warnings: []string{}}
	for _, err := range v.Damage {
		r.Damage = append(r.Damage, err.Error())
	}
	r.Warnings = append(r.Warnings, v.Warnings...)
	if s := v.State; s != nil {
		r.State = &State{
			Revision: uint64(s.Position.Index), Keys: s.Keys, LiveBytes: s.LiveBytes, HistoryVersions: s.Versions,
			HistoryBytes: s.HistoryBytes, CompactedRevision: s.Compacted,
		}
	}
	if l := v.Log; l != nil {
		r.Log = &Log{
			FirstIndex: uint64(l.Start) + 1, LastIndex: uint64(l.Last), CommitIndex: uint64(l.State.Commit),
			CurrentTerm: uint64(l.State.Term), VotedFor: uint64(l.State.Vote),
		}
	}
	return r
}

// damage returns the damage of a verification as one error, nil if there is none.
func damage(v *storage.Verification) error {
	const shown = 10
	err := errors.Join(v.Damage[:min(len(v.Damage), shown)]...)
	if more := len(v.Damage) - shown + v.Unlisted; err != nil && more > 0 {
		err = fmt.Errorf("%w\nand %d more errors", err, more)
	}
	return err
}
