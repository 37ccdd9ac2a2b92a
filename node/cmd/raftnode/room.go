package main

import (
	"fmt"
	"math"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"github.com/kontiki-dev/kontiki/node/room"
	"github.com/kontiki-dev/kontiki/node/storage"
)

const (
	defaultQuota = 2 << 30
	// The default reserve is a twentieth of the disk, within these bounds, and at most a quarter of a small disk. The
	// reserve must hold what the node's files grow by after the last write was taken: raft.db by what lies in its
	// write-ahead log, 32 MiB at most, and state.db.
	reservePart       = 20
	minDefaultReserve = 64 << 20
	maxDefaultReserve = 256 << 20
)

// roomFlags are the flags for how much a node takes.
type roomFlags struct {
	quota   string
	reserve string // empty: the default, which depends on the disk
}

func (f *roomFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.quota, "quota-bytes", humanize.IBytes(defaultQuota),
		"maximum size of the keys and values that exist, without past versions; 0: none. The flag of the leader applies")
	flags.StringVar(&f.reserve, "disk-reserve-bytes", "",
		"free disk space below which the node refuses what adds data, 0: none; less than 64MiB may not last while the "+
			"write-ahead log is copied into the database (default: 5% of the disk, from 64MiB to 256MiB)")
}

func (f *roomFlags) check() error {
	for _, flag := range []struct{ name, value string }{
		{"quota-bytes", f.quota}, {"disk-reserve-bytes", f.reserve},
	} {
		if flag.value == "" {
			continue
		}
		if bytes, err := humanize.ParseBytes(flag.value); err != nil || bytes > math.MaxInt64 {
			return fmt.Errorf("%w: --%s %q: give a size, like 2GiB, or 0 for no limit", errUsage, flag.name, flag.value)
		}
	}
	return nil
}

// sizes returns the quota and the reserve; the reserve is negative if it is the default. The flags must be checked.
func (f *roomFlags) sizes() room.Limits {
	l := room.Limits{Reserve: -1}
	if bytes, err := humanize.ParseBytes(f.quota); err == nil {
		l.Quota = int64(bytes)
	}
	if bytes, err := humanize.ParseBytes(f.reserve); err == nil {
		l.Reserve = int64(bytes)
	}
	return l
}

// defaultReserve returns the default reserve of a disk with so many bytes.
func defaultReserve(total int64) int64 {
	return min(max(total/reservePart, minDefaultReserve), maxDefaultReserve, total/4)
}

// keepReserve sets the reserve of a disk, and returns the limits with it.
func keepReserve(l room.Limits, disk *storage.DB) (room.Limits, error) {
	if l.Reserve < 0 {
		total, err := disk.TotalBytes()
		if err != nil {
			return l, fmt.Errorf("cannot find the size of the disk: %w; give --disk-reserve-bytes", err)
		}
		l.Reserve = defaultReserve(total)
	}
	disk.SetReserve(l.Reserve)
	return l, disk.KeepBallast()
}
