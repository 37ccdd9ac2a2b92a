package rest

import (
	"log/slog"
	"sync"
	"time"
)

// faultEvery is how often a line about one kind of fault is logged: a client that has found a fault can cause it at any
// rate.
const faultEvery = 10 * time.Second

// faultLog logs faults of the server.
type faultLog struct {
	log *slog.Logger

	mu    sync.Mutex
	kinds map[string]*faultKind
}

type faultKind struct {
	last    time.Time
	omitted int // lines since then
}

func newFaultLog(log *slog.Logger) *faultLog {
	return &faultLog{log: log, kinds: map[string]*faultKind{}}
}

// error logs a line, unless one of its kind was logged shortly before. The next one states how many were omitted. The
// number of kinds is small, whatever clients send.
func (f *faultLog) error(kind, message string, args ...any) {
	now := time.Now()
	f.mu.Lock()
	k := f.kinds[kind]
	if k == nil {
		k = &faultKind{}
		f.kinds[kind] = k
	}
	if !k.last.IsZero() && now.Sub(k.last) < faultEvery {
		k.omitted++
		f.mu.Unlock()
		return
	}
	omitted := k.omitted
	k.last, k.omitted = now, 0
	f.mu.Unlock()
	if omitted > 0 {
		args = append(args, "omitted", omitted)
	}
	f.log.Error(message, args...)
}
