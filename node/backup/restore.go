package backup

import (
	"errors"
	"fmt"
	"slices"

	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/storage"
)

// maxRevision bounds the first revision of a restored cluster: the id of a row of the history has 49 bits for it.
const maxRevision = 1 << 48

// Options are the options of a restore.
type Options struct {
	File    string // the backup
	Dir     string // the data directory to make: missing or empty
	ID      uint64
	Members []identity.Member // of the new cluster, each of which is restored from the same backup
	// Bump is added to the revisions that are left out: the first new one is above that of the backup plus Bump.
	Bump uint64
	// Sum is the hash that the backup must have; nil: the one that lies beside it.
	Sum *Sum
	// SkipHash: the hash is not checked.
	SkipHash bool
}

// Errors of a restore.
var (
	// ErrNoHash: there is nothing to compare the backup with.
	ErrNoHash = errors.New("the hash of the backup is unknown")
	// ErrWrongHash: the backup is not the file that was made.
	ErrWrongHash = errors.New("the backup has another hash")
	// ErrDamaged: the backup is not as it was written.
	ErrDamaged = errors.New("the backup is damaged")
	// ErrOptions: no cluster can be made with these options.
	ErrOptions = errors.New("the cluster cannot be made")
)

// Restored describes the data directory that was made.
type Restored struct {
	ClusterID string `json:"cluster_id"`
	NodeID    uint64 `json:"node_id"`
	Revision  uint64 `json:"revision"` // of the backup
	Start     uint64 `json:"start"`    // the first new revision is above it
	Keys      int    `json:"keys"`
	SHA256    string `json:"sha256"` // of the backup
}

// Restore makes the data directory of one member of a new cluster of a backup. Nothing is half-made: after an error the
// directory is as it was.
//
// The members agree on the cluster's id and on the start of its log without talking, because both follow from the
// backup, the bump and the members. They begin as members of a cluster that is not founded yet, and found it when they
// start, as those of a static start do: each draws an identity of its own disk, so that a disk that is lost later and
// restored again from the same backup is not taken for the old one (trap T28).
func Restore(o Options) (Restored, error) {
	assigned := identity.Assignment{
		Identity: identity.Identity{ID: raft.NodeID(o.ID)}, Members: identity.SortedMembers(o.Members),
	}
	if err := assigned.CheckRestored(); err != nil {
		return Restored{}, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	sum, err := o.checkSum()
	if err != nil {
		return Restored{}, err
	}
	v, err := storage.VerifyFile(o.File)
	if err != nil {
		return Restored{}, err
	}
	if err := damage(v); err != nil {
		return Restored{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	start, err := o.start(v.State.Position)
	if err != nil {
		return Restored{}, err
	}
	assigned.ClusterID, start.Digest = identity.RestoredClusterID(sum, start.Index, o.Members)
	if err := o.create(&assigned, start, sum); err != nil {
		return Restored{}, err
	}
	return Restored{
		ClusterID: assigned.ClusterID, NodeID: o.ID, Revision: uint64(v.State.Position.Index),
		Start: uint64(start.Index), Keys: v.State.Keys, SHA256: fmt.Sprintf("%x", sum),
	}, nil
}

// start returns the position after which the log of the new cluster starts, without its digest.
func (o *Options) start(backup raft.LogStart) (raft.LogStart, error) {
	if revision := uint64(backup.Index); o.Bump > maxRevision || revision+o.Bump > maxRevision {
		return raft.LogStart{}, fmt.Errorf("%w: the backup is of revision %d, and a bump of %d would lead beyond %d",
			ErrOptions, revision, o.Bump, uint64(maxRevision))
	}
	return raft.LogStart{Index: backup.Index + raft.Index(o.Bump), Term: backup.Term}, nil
}

// create makes the data directory.
func (o *Options) create(a *identity.Assignment, start raft.LogStart, sum Sum) error {
	facts, err := a.Facts(nil)
	if err != nil {
		return err
	}
	cluster, err := a.ClusterFacts(nil)
	if err != nil {
		return err
	}
	return storage.Create(o.Dir, o.File, sum, storage.Foundation{Position: start, Facts: facts, Cluster: cluster})
}

// checkSum returns the hash of the backup, and refuses one that is not the expected one.
func (o *Options) checkSum() (Sum, error) {
	var want []Sum
	source := "the one that was given"
	if o.Sum != nil {
		want = []Sum{*o.Sum}
	} else if !o.SkipHash {
		source = SumPath(o.File)
		switch sums, found, err := readSums(o.File); {
		case err != nil:
			return Sum{}, err
		case !found:
			return Sum{}, fmt.Errorf("%w: there is no %s", ErrNoHash, source)
		default:
			want = sums
		}
	}
	got, _, err := sumOf(o.File)
	if err != nil {
		return Sum{}, err
	}
	if want != nil && !slices.Contains(want, got) {
		return Sum{}, fmt.Errorf("%w: %w", ErrWrongHash, wrongSum(o.File, got, want[0], source))
	}
	return got, nil
}
