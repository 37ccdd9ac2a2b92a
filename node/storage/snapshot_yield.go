package storage

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// There is one copy of the checkpoint. A reader who is slow, or who asks for a range of it again and again, would keep
// a follower from the snapshot that it needs, and a client from a newer backup. So a copy gives way to a newer one that
// is asked for, if it was not read for a while, or had the time to be read as a whole.

const (
	// snapshotPatience is how long a copy is kept for a reader who does not read it.
	snapshotPatience = time.Minute
	// slowestReader is the rate in bytes per second at which a copy can be read as a whole, with snapshotPatience more,
	// before it gives way.
	slowestReader = 1 << 20
)

// copyUse is when a copy was used.
type copyUse struct {
	made time.Time
	read atomic.Int64 // nanoseconds from made to the last read
}

func (u *copyUse) begin() { u.made = time.Now() }

func (u *copyUse) touch() { u.read.Store(int64(time.Since(u.made))) }

// times returns how long ago a copy was made and was last read.
func (u *copyUse) times() (age, idle time.Duration) {
	age = time.Since(u.made)
	return age, age - time.Duration(u.read.Load())
}

// givesWay reports whether a copy of so many bytes, which is in use, gives way to a newer one.
func givesWay(age, idle, patience time.Duration, size int64) bool {
	whole := patience + time.Duration(float64(size)/slowestReader*float64(time.Second))
	return idle >= patience || age >= whole
}

// mayTake reports whether the copy, which is in use, gives way.
func (f *snapshotFiles) mayTake(c *snapshotCopy) bool {
	age, idle := c.use.times()
	return givesWay(age, idle, f.patience, c.size)
}

// givenUp explains the error of a read of a copy that gave way.
func givenUp(err error) error {
	if errors.Is(err, os.ErrClosed) {
		err = fmt.Errorf("%w: it was read too slowly, and a newer one is asked for; begin anew", snapshot.ErrGivenUp)
	}
	return err
}
