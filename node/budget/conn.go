package budget

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// uncountedHeader is how many bytes of a request's header are not charged: net/http reads that much at once.
	// Every byte beyond it is charged headerCost bytes: a header of many short fields takes that much when it is
	// parsed.
	uncountedHeader = 4 << 10
	headerCost      = 32
)

var errHeaderMemory = errors.New("budget: no memory for a header of this length")

// Conn is an accepted connection.
type Conn struct {
	net.Conn
	owner    *Connections
	kind     kind
	accepted time.Time   // of a spare connection
	until    time.Time   // of a spare connection: no deadline is later
	order    uint64      // of a peer: set when accepted and after each member's request; the owner's lock
	member   *member     // of a peer: its member, nil: unidentified; the owner's lock
	listener *listener   // of a peer: the listener that accepted it
	asked    atomic.Bool // the current request is a member's
	closed   sync.Once
	gone     atomic.Bool // Close was called

	// answering: a request's header was read, and its response is not finished.
	answering atomic.Bool
	header    int     // bytes read of the header that is being read
	account   Account // of a long header, until its request is answered
}

// Read implements net.Conn.
func (k *Conn) Read(p []byte) (int, error) {
	n, err := k.Conn.Read(p)
	if n > 0 && !k.answering.Load() && !k.takeHeader(n) {
		return 0, errHeaderMemory
	}
	return n, err
}

// takeHeader charges n more bytes of a header. One goroutine at a time reads a header.
func (k *Conn) takeHeader(n int) bool {
	k.header += n
	if k.header <= uncountedHeader || k.owner.memory == nil {
		return true
	}
	if k.header-n <= uncountedHeader { // the first that is charged
		class := Clients
		if k.kind == peer {
			class = Peers
		}
		k.account.Open(k.owner.memory, class)
	}
	fits := k.account.Take(n * headerCost)
	if k.gone.Load() { // the account may have been opened after Close
		k.account.Close()
	}
	return fits
}

// began records that the header of a request was read: its body follows.
func (k *Conn) began() { k.answering.Store(true) }

// ended records that a request was answered.
func (k *Conn) ended() {
	k.header = 0
	k.account.Close()
	k.answering.Store(false)
	if k.asked.Swap(false) {
		k.owner.answered(k)
	}
}

// due returns when a spare connection must make room for another. The caller holds its owner's lock.
func (k *Conn) due() time.Time {
	if k.answering.Load() {
		return k.accepted.Add(answerPatience)
	}
	return k.accepted.Add(sparePatience)
}

// Close implements net.Conn.
func (k *Conn) Close() error {
	err := k.Conn.Close()
	k.gone.Store(true)
	k.closed.Do(func() {
		k.account.Close()
		k.owner.release(k)
	})
	return err
}

// CloseWrite closes the sending side, so that a client reads a response that was sent before its request was
// complete.
func (k *Conn) CloseWrite() error {
	if half, ok := k.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// SetDeadline implements net.Conn.
func (k *Conn) SetDeadline(t time.Time) error { return k.Conn.SetDeadline(k.clamp(t)) }

// SetReadDeadline implements net.Conn.
func (k *Conn) SetReadDeadline(t time.Time) error { return k.Conn.SetReadDeadline(k.clamp(t)) }

// SetWriteDeadline implements net.Conn.
func (k *Conn) SetWriteDeadline(t time.Time) error { return k.Conn.SetWriteDeadline(k.clamp(t)) }

// clamp limits the deadlines of a spare connection to its maximum duration.
func (k *Conn) clamp(t time.Time) time.Time {
	if k.kind == spare && (t.IsZero() || t.After(k.until)) {
		return k.until
	}
	return t
}

// isTemporary reports whether an Accept may succeed later, with the same listener.
func isTemporary(err error) bool {
	for _, cause := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPERM,
	} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}
