package client_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
)

func TestBackupWritesTheState(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	c := connect(t, client.Config{Endpoints: cluster.URLs()[1:2]})
	revision := put(t, c, "a", "b", "c")
	var file bytes.Buffer
	b, err := c.Backup(t.Context(), &file)
	if err != nil {
		t.Fatal(err)
	}
	if b.Revision != revision || b.Bytes != int64(file.Len()) || b.Sum != sha256.Sum256(file.Bytes()) ||
		b.Name != fmt.Sprintf("fake-%d.db", revision) {
		t.Errorf("got %+v", b)
	}
	state, err := snapshottest.Decode(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if store, err := state.Load(); err != nil || store.Len() != 3 {
		t.Errorf("the backup has %d keys, %v", store.Len(), err)
	}
	cluster.Elect(0)
	if _, err := c.Backup(t.Context(), &file, client.Consistency(api.Stale)); err != nil {
		t.Errorf("without a leader: %v", err)
	}
}

// interrupted sends a file in parts: it cuts the connection after so many bytes of each answer.
type interrupted struct {
	data    []byte
	sum     [sha256.Size]byte
	part    int
	lost    int32 // the request from which on there is another copy; 0: none
	asked   atomic.Int32
	partial atomic.Int32
}

func (f *interrupted) answer(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.Path != api.PathBackup {
		return false
	}
	n := f.asked.Add(1)
	etag := `"7-one"`
	if f.lost > 0 && n >= f.lost {
		etag = `"8-two"`
	}
	h := w.Header()
	h.Set("Etag", etag)
	h.Set(api.HeaderRevision, "7")
	h.Set("Content-Type", "application/vnd.sqlite3")
	h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(f.sum[:])+":")
	if r.Header.Get("Range") != "" && r.Header.Get("If-Range") == etag {
		f.partial.Add(1)
	}
	http.ServeContent(&cutWriter{w, f.part}, r, "", time.Time{}, bytes.NewReader(f.data))
	return true
}

// cutWriter ends the connection after some bytes.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p[:min(len(p), w.left)])
	if w.left -= n; w.left == 0 {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// served returns a client of one node that sends a file of 1 MB in parts.
func (f *interrupted) served(t *testing.T) *client.Client {
	t.Helper()
	f.data = bytes.Repeat([]byte("0123456789"), 100_000)
	if f.sum == ([sha256.Size]byte{}) {
		f.sum = sha256.Sum256(f.data)
	}
	cluster := clienttest.New(t, 1)
	cluster.Nodes[0].Intercept(f.answer)
	return connect(t, client.Config{Endpoints: cluster.URLs()})
}

func TestABrokenBackupIsContinued(t *testing.T) {
	t.Parallel()
	f := &interrupted{part: 30_000} // more parts than there may be failures in a row
	c := f.served(t)
	var file bytes.Buffer
	b, err := c.Backup(t.Context(), &file)
	if err != nil || !bytes.Equal(file.Bytes(), f.data) || b.Sum != f.sum || b.Revision != 7 {
		t.Errorf("%d bytes, %+v, %v", file.Len(), b, err)
	}
	if f.asked.Load() != 34 || f.partial.Load() != 33 {
		t.Errorf("%d requests, of which %d were for the rest", f.asked.Load(), f.partial.Load())
	}
}

func TestABackupWhoseCopyIsGoneMustBeginAnew(t *testing.T) {
	t.Parallel()
	f := &interrupted{part: 300_000, lost: 2}
	_, err := f.served(t).Backup(t.Context(), &bytes.Buffer{})
	lost, is := errors.AsType[*client.BackupLostError](err)
	if !is || lost.Written != 300_000 {
		t.Errorf("got %v", err)
	}
}

func TestABackupThatNeverGoesOnEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &interrupted{data: []byte("0123456789"), part: 0}
		w := newNetwork(t, 1)
		w.Nodes[0].Intercept(f.answer)
		c := connect(t, client.Config{Endpoints: w.URLs(), DialContext: w.dial})
		began := time.Now()
		_, err := c.Backup(t.Context(), &bytes.Buffer{})
		if lost, is := errors.AsType[*client.BackupLostError](err); !is || lost.Written != 0 {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took < 3*time.Second || took > 30*time.Second { // a network may be away for seconds
			t.Errorf("it was given up after %v", took)
		}
	})
}

func TestABackupWithAnotherHashIsRefused(t *testing.T) {
	t.Parallel()
	f := &interrupted{part: 1 << 30, sum: [sha256.Size]byte{1}}
	var file bytes.Buffer
	if _, err := f.served(t).Backup(t.Context(), &file); err == nil || !strings.Contains(err.Error(), "must have 0100") {
		t.Errorf("got %v", err)
	}
}

// failing fails to write.
type failing struct{}

var errWrite = errors.New("no room")

func (failing) Write([]byte) (int, error) { return 0, errWrite }

func TestABackupThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	f := &interrupted{part: 1 << 30}
	if _, err := f.served(t).Backup(t.Context(), failing{}); !errors.Is(err, errWrite) {
		t.Errorf("got %v", err)
	}
}

// A node that is paused, or whose machine is off, does not use up the time for all of them.
func TestABackupLeavesANodeThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 3)
		for i := range w.hosts {
			c := connect(t, client.Config{Endpoints: w.URLs(), DialContext: w.dial})
			w.setSilent(w.hosts[i], true)
			w.Elect(uint64((i+1)%3 + 1))
			var file bytes.Buffer
			if b, err := c.Backup(t.Context(), &file); err != nil || b.Bytes != int64(file.Len()) {
				t.Errorf("node %d is silent: %+v, %v", i+1, b, err)
			}
			w.setSilent(w.hosts[i], false)
		}
	})
}

// The same if the node answers nothing on a connection that is there.
func TestABackupLeavesANodeThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 3)
		for i, n := range w.Nodes {
			n.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == api.PathBackup {
					<-r.Context().Done()
				}
				return r.URL.Path == api.PathBackup
			})
			c := connect(t, client.Config{Endpoints: w.URLs(), DialContext: w.dial})
			var file bytes.Buffer
			if b, err := c.Backup(t.Context(), &file); err != nil || b.Bytes != int64(file.Len()) {
				t.Errorf("node %d hangs: %+v, %v", i+1, b, err)
			}
			n.Intercept(nil)
		}
	})
}

// A node that hangs as a whole is left after seconds, not after the time that a copy of the state may take.
func TestABackupLeavesANodeThatHangsAsAWholeSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 3)
		asked := 0
		for i, n := range w.Nodes {
			c := connect(t, client.Config{Endpoints: w.URLs(), DialContext: w.dial})
			put(t, c, "a") // it has found the cluster before the node hangs
			n.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == api.PathBackup {
					asked++
				}
				<-r.Context().Done()
				return true
			})
			var file bytes.Buffer
			began := time.Now()
			if b, err := c.Backup(t.Context(), &file); err != nil || b.Bytes != int64(file.Len()) {
				t.Errorf("node %d hangs: %+v, %v", i+1, b, err)
			}
			if took := time.Since(began); took > 30*time.Second { // fake time
				t.Errorf("node %d hangs: the backup took %v", i+1, took)
			}
			n.Intercept(nil)
		}
		if asked == 0 {
			t.Error("no node that hangs was asked for a backup")
		}
	})
}

// A copy may take minutes: a node that answers meanwhile is not left.
func TestABackupWaitsForANodeThatMakesTheCopy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 1)
		w.Nodes[0].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == api.PathBackup {
				time.Sleep(4 * time.Minute) // fake time
			}
			return false
		})
		c := connect(t, client.Config{Endpoints: w.URLs(), DialContext: w.dial})
		var file bytes.Buffer
		began := time.Now()
		if b, err := c.Backup(t.Context(), &file); err != nil || b.Bytes != int64(file.Len()) {
			t.Errorf("%+v, %v", b, err)
		}
		if took := time.Since(began); took > 5*time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

// A node that hangs in the middle of a backup costs little more than the time for which it would keep the copy.
func TestABackupThatHangsInTheMiddleEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &interrupted{data: bytes.Repeat([]byte("0123456789"), 100_000), part: 500_000}
		w := newNetwork(t, 1)
		w.Nodes[0].Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
			if f.asked.Load() > 0 {
				<-r.Context().Done()
				return true
			}
			return f.answer(rw, r)
		})
		c := connect(t, client.Config{Endpoints: w.URLs(), DialContext: w.dial})
		began := time.Now()
		_, err := c.Backup(t.Context(), &bytes.Buffer{})
		lost, is := errors.AsType[*client.BackupLostError](err)
		if !is || lost.Written != 500_000 || !strings.Contains(err.Error(), "no answer") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > 2*time.Minute {
			t.Errorf("it was given up after %v", took)
		}
	})
}

// slowWriter takes a long time for each part that it writes.
type slowWriter struct {
	bytes.Buffer
	rest time.Duration
}

func (w *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(w.rest) // fake time
	return w.Buffer.Write(p)
}

// A backup that takes longer than a copy is kept is continued all the same: its age counts from the last part.
func TestALongBackupIsContinued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &interrupted{data: bytes.Repeat([]byte("0123456789"), 100_000), part: 200_000}
		f.sum = sha256.Sum256(f.data)
		w := newNetwork(t, 1)
		w.Nodes[0].Intercept(f.answer)
		c := connect(t, client.Config{Endpoints: w.URLs(), DialContext: w.dial})
		began, file := time.Now(), &slowWriter{rest: 20 * time.Second}
		if _, err := c.Backup(t.Context(), file); err != nil || !bytes.Equal(file.Bytes(), f.data) {
			t.Errorf("%d bytes, %v", file.Len(), err)
		}
		if took := time.Since(began); took < 2*time.Minute {
			t.Errorf("it took %v: this test is about a longer one", took)
		}
	})
}
