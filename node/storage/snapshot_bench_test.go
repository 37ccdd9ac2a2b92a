package storage

import (
	"errors"
	"flag"
	"io"
	"testing"
)

var snapshotKeys = flag.Int("snapshot-keys", 200_000, "keys of BenchmarkSnapshot")

// BenchmarkSnapshot measures the parts of a snapshot of many keys with values of 256 bytes, half of which have an
// earlier version: the copy that is sent, what the receiver writes, and what it checks, page by page and, for
// comparison, through SQLite.
func BenchmarkSnapshot(b *testing.B) {
	m := newMachine(b, b.TempDir(), Options{snapshotGrace: -1})
	m.fill(*snapshotKeys)
	for first := 0; first < *snapshotKeys/2; first += 1000 {
		m.change(first, 1000, 1)
	}
	m.save()
	d := mustOpen(b, b.TempDir(), Options{})
	var s *Snapshot
	var in *Incoming
	part := make([]byte, 512<<10)
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"copy", func() (err error) {
			if s != nil {
				s.Release()
			}
			s, err = m.d.openSnapshot(m.last)
			return err
		}},
		{"receive", func() (err error) {
			if in != nil {
				if err := in.Discard(); err != nil {
					return err
				}
			}
			if in, err = d.receive(s.ID(), s.Size(), s.Sum()); err != nil {
				return err
			}
			for in.Offset() < s.Size() {
				n, err := s.ReadAt(part, in.Offset())
				if err != nil && !errors.Is(err, io.EOF) {
					return err
				}
				if err := in.Write(in.Offset(), part[:n]); err != nil {
					return err
				}
			}
			return nil
		}},
		{"verify", func() error {
			_, _, _, err := in.Verify()
			return err
		}},
		{"sqlite", func() error {
			c, err := connect(in.file.Name(), "immutable", commonPragmas, nil)
			if err != nil {
				return err
			}
			_, _, err = readWithSQLite(c, newPace(verifyShare))
			return errors.Join(err, c.close())
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			cpu := cpuTime()
			for b.Loop() {
				if err := c.do(); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(s.Size())
			b.ReportMetric(float64((cpuTime()-cpu).Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
	s.Release()
	mustClose(b, d)
	mustClose(b, m.d)
}
