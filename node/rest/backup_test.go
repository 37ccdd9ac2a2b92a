package rest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
)

func TestABackupIncludesWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.put("a", "b")
	got := a.want(200, "GET", api.PathBackup, "")
	sum := sha256.Sum256([]byte(got.body))
	for name, want := range map[string]string{
		"Content-Type": "application/vnd.sqlite3", "Content-Length": strconv.Itoa(len(got.body)),
		"Repr-Digest": "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":", "X-Revision": "2",
		"Etag": fmt.Sprintf(`"2-%x"`, sum[:8]), "Content-Disposition": `attachment; filename="demo-2.db"`,
		"Cache-Control": "no-store", "X-Consistency": "linearizable", "X-Raft-Term": "3", "Accept-Ranges": "bytes",
		"X-Content-Type-Options": "nosniff",
	} {
		if got.header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.header.Get(name), want)
		}
	}
	file, err := snapshottest.Decode([]byte(got.body))
	if err != nil {
		t.Fatal(err)
	}
	store, err := file.Load()
	if err != nil || store.Applied() != 2 || store.Len() != 2 {
		t.Errorf("the backup holds %d keys at revision %d, %v", store.Len(), store.Applied(), err)
	}
	a.node.mu.Lock()
	if a.node.barriers != 1 {
		t.Errorf("%d read barriers, want 1", a.node.barriers)
	}
	a.node.barrierErr = node.ErrNoLeader
	a.node.mu.Unlock()
	a.want(503, "GET", api.PathBackup, "")
	a.want(200, "GET", api.PathBackup+"?consistency=stale", "")
	a.want(400, "GET", api.PathBackup+"?revision=1", "")
	a.want(405, "HEAD", api.PathBackup, "")
	if n := a.node.sources.Load(); n != 0 {
		t.Errorf("%d copies are not released", n)
	}
}

// A range with the ETag of the copy goes on with it. Once there is another copy, the answer is all of that one.
func TestARangeContinuesTheSameBackup(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.put("a")
	whole := a.want(200, "GET", api.PathBackup, "")
	etag := whole.header.Get("Etag")
	a.node.mu.Lock()
	a.node.barrierErr = node.ErrNoLeader // continuing needs no leader
	a.node.mu.Unlock()
	rest := a.want(206, "GET", api.PathBackup, "", "Range", "bytes=10-", "If-Range", etag)
	if rest.body != whole.body[10:] || rest.header.Get("Etag") != etag ||
		rest.header.Get("Repr-Digest") != whole.header.Get("Repr-Digest") {
		t.Errorf("the rest has %d bytes of %d, and the headers %v", len(rest.body), len(whole.body), rest.header)
	}
	a.want(416, "GET", api.PathBackup, "", "Range", "bytes=99999999-", "If-Range", etag)
	for _, tag := range []string{"", `"1-0123"`, `"0-0"`, `"x-0"`} { // another copy must be fresh
		a.want(503, "GET", api.PathBackup, "", "Range", "bytes=10-", "If-Range", tag)
	}
	a.node.mu.Lock()
	a.node.barrierErr = nil
	a.node.mu.Unlock()
	a.put("b")
	for _, tag := range []string{etag, `"9-0123"`, `"x-0"`, `"1"`, `W/"1-2"`} {
		other := a.want(200, "GET", api.PathBackup, "", "Range", "bytes=10-", "If-Range", tag)
		if other.header.Get("Etag") == etag || other.header.Get("X-Revision") != "2" {
			t.Errorf("%s: another copy has the headers %v", tag, other.header)
		}
	}
	if n := a.node.sources.Load(); n != 0 {
		t.Errorf("%d copies are not released", n)
	}
}

// net/http sends several ranges from a goroutine, which may outlive the request, its copy and its connection. So they
// are not served: the answer is the whole, as RFC 9110 allows.
func TestSeveralRangesAreAnsweredWithTheWhole(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.put("a")
	whole := a.want(200, "GET", api.PathBackup, "")
	for _, ranges := range []string{"bytes=0-9,20-29", "bytes=5-, 0-4", "bytes=0-9,"} {
		got := a.want(200, "GET", api.PathBackup, "", "Range", ranges)
		if got.body != whole.body || got.header.Get("Content-Type") != "application/vnd.sqlite3" {
			t.Errorf("%s: %d bytes of %d, of type %s", ranges, len(got.body), len(whole.body), got.header.Get("Content-Type"))
		}
	}
	a.want(206, "GET", api.PathBackup, "", "Range", "bytes=0-9")
}

func TestABackupThatCannotBeMadeHasACode(t *testing.T) {
	t.Parallel()
	for err, code := range map[error]api.Code{
		fmt.Errorf("%w: a copy of an older state is being sent", node.ErrOverloaded): api.CodeOverloaded,
		node.ErrNotReady:   api.CodeNotReady,
		errors.New("what"): api.CodeInternal,
	} {
		a := serve(t, func(f *fakeNode, _ *Options) { f.backupErr = err })
		got := decode[api.ErrorBody](t, a.want(code.Status(), "GET", api.PathBackup, "").body)
		if got.Error.Code != code {
			t.Errorf("%v: %+v", err, got.Error)
		}
		a.want(code.Status(), "GET", api.PathBackup, "", "Range", "bytes=1-", "If-Range", `"0-1"`)
	}
}

// large makes backups so long that a connection does not take all of one at once.
func large(f *fakeNode, _ *Options) { f.padding = 64 << 20 }

// openBackup begins a backup and reads its first byte.
func (a *testAPI) openBackup(ctx context.Context) *http.Response {
	a.t.Helper()
	request, err := http.NewRequestWithContext(ctx, "GET", a.url+api.PathBackup, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = response.Body.Close() })
	if _, err := response.Body.Read(make([]byte, 1)); err != nil {
		a.t.Fatal(err)
	}
	return response
}

func TestAClientThatDisconnectsReleasesTheCopy(t *testing.T) {
	t.Parallel()
	a := serve(t, large)
	ctx, cancel := context.WithCancel(t.Context())
	a.openBackup(ctx)
	if a.node.sources.Load() != 1 || a.rest.backups.open.Load() != 1 {
		t.Error("the backup does not count")
	}
	cancel()
	eventually(t, "the copy is released", func() bool { return a.node.sources.Load() == 0 })
}

// A client that does not read, or that reads too slowly for a long time, does not keep the only copy.
func TestASlowClientReleasesTheCopy(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(b *backups){
		"patience": func(b *backups) { b.patience = time.Millisecond },
		"grace":    func(b *backups) { b.grace = -time.Hour },
	} {
		a := serve(t, large)
		limit(a.rest.backups)
		c := a.dial()
		c.send("GET /api/v1/backup HTTP/1.1\r\nHost: localhost\r\n\r\n")
		eventually(t, name+": the request has ended", func() bool {
			return a.node.opened.Load() > 0 && a.rest.backups.open.Load() == 0
		})
		if n := a.node.sources.Load(); n != 0 {
			t.Errorf("%s: %d copies are not released", name, n)
		}
		if text, _ := io.ReadAll(c); len(text) >= 64<<20 {
			t.Errorf("%s: all of the backup was sent", name)
		}
	}
}

func TestBackupsAreBoundedInNumber(t *testing.T) {
	t.Parallel()
	a := serve(t, large)
	ctx, cancel := context.WithCancel(t.Context())
	for range mostBackups {
		a.openBackup(ctx)
	}
	for range 2 * mostBackups {
		wantOverloaded(t, a.ask("GET", api.PathBackup, ""))
	}
	cancel()
	eventually(t, "what was refused does not count", func() bool { return a.rest.backups.open.Load() == 0 })
}

// The state may grow too old while it is copied.
func TestABackupThatIsTooOldReleasesTheCopy(t *testing.T) {
	t.Parallel()
	looks := 0
	a := serve(t, func(n *fakeNode, _ *Options) {
		n.staleness = func() func() (time.Duration, bool) {
			return func() (time.Duration, bool) {
				looks++
				return time.Duration(looks-1) * 3 * time.Second, true
			}
		}
	})
	a.put("a")
	a.want(503, "GET", api.PathBackup+"?consistency=stale&max_stale=2s", "")
	if opened, held := a.node.opened.Load(), a.node.sources.Load(); opened != 1 || held != 0 {
		t.Errorf("%d copies were opened, and %d are not released", opened, held)
	}
}

func TestABackupEndsWhenTheServerStops(t *testing.T) {
	t.Parallel()
	a := serve(t, large)
	a.rest.backups.rate = 1 // it waits for a long time behind the first part
	response := a.openBackup(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- a.rest.Shutdown(t.Context()) }()
	if n, err := io.Copy(io.Discard, response.Body); err == nil {
		t.Errorf("%d bytes came, and no error", n)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// Reads wait as long as the rate requires, on the clock of the process.
func TestABackupIsPaced(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[int64]time.Duration{0: 0, backupRate: time.Second, 10 * backupRate: 10 * time.Second} {
		if got := secondsAt(bytes, backupRate); got != want {
			t.Errorf("%d bytes take %v, want %v", bytes, got, want)
		}
	}
}
