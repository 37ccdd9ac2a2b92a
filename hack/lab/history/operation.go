package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// Kind is what an operation does.
type Kind string

// The kinds of operations. Every key holds a positive number, or is absent and counts as 0. A key is either a
// register, which is put and swapped, or a counter, which is only incremented.
const (
	Put  Kind = "put"
	Get  Kind = "get"
	CAS  Kind = "cas"
	Incr Kind = "incr"
)

// CounterLife is how often a counter may be incremented. The increment with the serial number n adds Step(n), a power
// of four that no other increment of the same counter adds, so that the value of a counter shows how often each was
// counted: it is the nth digit to the base of four.
const CounterLife = 26

// Step is what the nth increment of a counter adds, n from 0. All sums stay below 2^53, the exact range of JSON
// readers.
func Step(n int) int64 { return 1 << (2 * n) }

// counted returns how often the value of a counter contains the increment that adds step.
func counted(value, step int64) int64 {
	if step < 1 {
		return 0
	}
	return value / step % 4
}

// Outcome is the outcome of an operation, as far as the client received it.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"
	Fail    Outcome = "fail"    // certainly not done
	Unknown Outcome = "unknown" // may have been done, or may still be (trap T49)
)

// Path is how an operation reached the store.
type Path string

// The paths.
const (
	Library Path = "lib"   // node/client, which tracks the members and the leader
	Plain   Path = "plain" // one HTTP request to the Service, like curl's
)

// Operation is one line of the workload's output. Times are in microseconds since 1970 by the workload's clock, which
// is monotonic.
type Operation struct {
	Serial   int    `json:"n"` // 1, 2, 3, ...: a missing line is noticed
	Client   int    `json:"client"`
	Path     Path   `json:"path"`
	Kind     Kind   `json:"op"`
	Key      string `json:"key"`
	Value    int64  `json:"value,omitempty"`    // to write; or found by a get, or by a cas that did not swap
	Expected int64  `json:"expected,omitempty"` // by a cas
	Swapped  bool   `json:"swapped,omitempty"`  // by a cas
	New      int64  `json:"new,omitempty"`      // to be written by a cas
	By       int64  `json:"by,omitempty"`       // added by an incr: see Step. Its Value is the sum that was returned
	// Revision is, of a write that is done, that of its change, and of a read that of the key, or 0 if the key is
	// absent or the response has none. Version is, of a read, how many changes the key has had.
	Revision uint64  `json:"revision,omitempty"`
	Version  uint64  `json:"version,omitempty"`
	Node     int     `json:"node,omitempty"`  // the node that was asked; 0: the library or the Service chose
	Batch    int     `json:"batch,omitempty"` // the number of its batch; 0: none
	Stale    bool    `json:"stale,omitempty"` // a read of the node's own state, which may be old
	Call     int64   `json:"call"`
	Return   int64   `json:"return"`
	Outcome  Outcome `json:"outcome"`
	Code     string  `json:"code,omitempty"` // api.Code of an operation that is not ok
}

// End is the workload's last line: the number of operations before it.
type End struct {
	Count int `json:"end"`
}

// IsWrite reports whether the operation goes through the log, whatever its outcome.
func (o *Operation) IsWrite() bool { return o.Kind != Get }

// written is the number that the operation would write to a register.
func (o *Operation) written() int64 {
	if o.Kind == CAS {
		return o.New
	}
	return o.Value
}

// Recorder reads the workload's output while it runs. It is safe for concurrent use.
type Recorder struct {
	mu         sync.Mutex
	operations []Operation
	end        *End
	err        error
	lead       time.Duration
}

// NewRecorder returns an empty Recorder.
func NewRecorder() *Recorder { return &Recorder{} }

// Read reads lines until the reader ends. It skips lines that it has read before, as they come when a broken stream is
// opened again. The error is the reader's, or that of the first invalid line.
func (r *Recorder) Read(lines io.Reader) error {
	scanner := bufio.NewScanner(lines)
	for scanner.Scan() {
		if err := r.add(scanner.Bytes()); err != nil {
			return err
		}
	}
	return scanner.Err()
}

func (r *Recorder) add(line []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.take(line)
	if err != nil {
		r.err = err
	}
	return err
}

// take adds one line; the recorder must be locked.
func (r *Recorder) take(line []byte) error {
	var end End
	if strict(line, &end) == nil {
		if end.Count != len(r.operations) {
			return fmt.Errorf("the workload ended after %d operations, of which %d were received", end.Count, len(r.operations))
		}
		r.end = &end
		return nil
	}
	var o Operation
	if err := strict(line, &o); err != nil {
		return fmt.Errorf("a line of the workload is not an operation: %.200q: %w", line, err)
	}
	switch {
	case o.Serial <= len(r.operations):
		return nil
	case o.Serial != len(r.operations)+1:
		return fmt.Errorf("the workload's line %d came after line %d: lines are missing", o.Serial, len(r.operations))
	case o.Return < o.Call:
		return fmt.Errorf("the workload's line %d returned before it was called", o.Serial)
	}
	lead := time.Since(time.UnixMicro(o.Return))
	if len(r.operations) == 0 || lead < r.lead {
		r.lead = lead
	}
	r.operations = append(r.operations, o)
	return nil
}

// strict decodes a line without unknown fields.
func strict(line []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// Clock returns what the workload's clock showed, in microseconds since 1970, at a time of the local clock. The local
// clock is assumed to be ahead by the shortest time that any line took from its operation to the Recorder, so the
// error is the shortest delivery time.
func (r *Recorder) Clock(ours time.Time) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return ours.Add(-r.lead).UnixMicro()
}

// Operations returns a copy of the operations so far.
func (r *Recorder) Operations() []Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Operation(nil), r.operations...)
}

// Ended reports whether the workload's last line has been read. The error is that of the first invalid line.
func (r *Recorder) Ended() (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.end != nil, r.err
}
