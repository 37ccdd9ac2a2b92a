package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/storage"
)

// isDamaged reports whether an error means that the log or the vote of a member is lost. A damaged checkpoint is
// repaired by the other members, and two foundings are no damage.
func isDamaged(err error) bool {
	if differs, is := errors.AsType[*divergence.Error](err); is {
		return len(differs.OtherFounders) == 0
	}
	return !errors.Is(err, snapshot.ErrDamagedState) && (errors.Is(err, storage.ErrDamaged) ||
		errors.Is(err, storage.ErrNotDatabase) || errors.Is(err, identity.ErrDiskLost))
}

// explainDamage adds to the error of a node whose raft.db cannot be used how the member is replaced (trap T54).
func explainDamage(err error, config *memberConfig) error {
	switch {
	case !isDamaged(err):
		return err
	case len(config.members) == 1:
		return fmt.Errorf("%w; this node is the only member, so no other one has its data: restore the last backup into "+
			"another directory with raftctl restore", err)
	}
	id, url := "ID", cmp.Or(config.advertisePeer, identity.AddressOf(config.members, config.id), "URL")
	if config.id != 0 {
		id = identity.IDText(config.id)
	}
	return fmt.Errorf("%w; to replace this member, move %s away, start this node with --join --advertise-peer %s and an "+
		"empty data directory, and run: raftctl member replace %s --with %s", err, config.dataDir, url, id, url)
}
