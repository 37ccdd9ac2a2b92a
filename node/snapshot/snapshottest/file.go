// Package snapshottest has a checkpoint of the state machine in memory, for disks that tests make up.
package snapshottest

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// File is the content of state.db at one moment: the checkpoint of the state machine, as rows. It never changes; a
// checkpoint and the installation of a snapshot make another one.
type File struct {
	Meta  kv.Meta
	Start raft.LogStart // the position in the log that it stands for
	Facts map[string]string
	rows  map[string]kv.Record // by key
	past  []kv.Past            // by the change that ended them
}

// With returns what a checkpoint makes of the file; start is the position of its applied index.
func (f *File) With(c *snapshot.Checkpoint, start raft.LogStart) *File {
	d := c.Delta
	start.Seats, start.Configuration = slices.Clone(c.Seats), c.Configuration
	next := &File{Meta: d.Meta, Start: start, Facts: maps.Clone(c.Facts), rows: map[string]kv.Record{}}
	if d.Since != 0 {
		next.rows, next.past = maps.Clone(f.rows), slices.Clip(f.past)
	}
	for i := range d.Changes {
		next.change(&d.Changes[i])
	}
	kept := sort.Search(len(next.past), func(i int) bool { return next.past[i].Until > next.Meta.Cut })
	next.past = next.past[kept:]
	return next
}

// change carries out one change of a file that is being made.
func (f *File) change(c *kv.DeltaChange) {
	if c.Past != nil {
		f.past = append(f.past, kv.Past{
			Until: c.Revision, UntilPosition: c.Position, UntilModified: c.Modified, Record: *c.Past,
			Deleted: c.Record == nil,
		})
	}
	if c.Record == nil {
		delete(f.rows, c.Key)
		return
	}
	f.rows[c.Key] = *c.Record
}

// Load builds the state machine from the rows, as production does.
func (f *File) Load() (*kv.Store, error) {
	loader := kv.NewLoader(f.Meta)
	for _, key := range slices.Sorted(maps.Keys(f.rows)) {
		if err := loader.Add(cloneRecord(f.rows[key])); err != nil {
			return nil, err
		}
	}
	for _, p := range f.past {
		p.Record = cloneRecord(p.Record)
		if err := loader.AddPast(p); err != nil {
			return nil, err
		}
	}
	return loader.Store()
}

// cloneRecord returns a record that shares no value.
func cloneRecord(r kv.Record) kv.Record {
	r.Value = bytes.Clone(r.Value)
	return r
}

// fileImage is a File as it is encoded: rows in the order of their keys. The configuration follows it if there is one:
// so the size of a file without one, and with it every simulated run, is as before there were changes of the members.
type fileImage struct {
	Meta  kv.Meta
	Start logStart
	Facts [][2]string
	Rows  []kv.Record
	Past  []kv.Past
}

// logStart is a raft.LogStart without the configuration.
type logStart struct {
	Index  raft.Index
	Term   raft.Term
	Digest raft.Digest
	Seats  []raft.Seat
}

// Encode returns the file as bytes. The same content makes the same bytes.
func (f *File) Encode() []byte {
	start := logStart{f.Start.Index, f.Start.Term, f.Start.Digest, f.Start.Seats}
	image := fileImage{Meta: f.Meta, Start: start, Past: f.past}
	for _, key := range slices.Sorted(maps.Keys(f.Facts)) {
		image.Facts = append(image.Facts, [2]string{key, f.Facts[key]})
	}
	for _, key := range slices.Sorted(maps.Keys(f.rows)) {
		image.Rows = append(image.Rows, f.rows[key])
	}
	var b bytes.Buffer
	encoder := gob.NewEncoder(&b)
	err := encoder.Encode(image)
	if err == nil && f.Start.Configuration.Index > 0 {
		err = encoder.Encode(f.Start.Configuration)
	}
	if err != nil {
		panic(fmt.Sprintf("snapshottest: a state file cannot be encoded: %v", err))
	}
	return b.Bytes()
}

// Decode is the inverse of Encode.
func Decode(data []byte) (*File, error) {
	var image fileImage
	decoder := gob.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&image); err != nil {
		return nil, fmt.Errorf("snapshottest: a snapshot cannot be read: %w", err)
	}
	start := raft.LogStart{
		Index: image.Start.Index, Term: image.Start.Term, Digest: image.Start.Digest, Seats: image.Start.Seats,
	}
	if err := decoder.Decode(&start.Configuration); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("snapshottest: the configuration of a snapshot cannot be read: %w", err)
	}
	f := &File{
		Meta: image.Meta, Start: start, Facts: map[string]string{}, rows: map[string]kv.Record{}, past: image.Past,
	}
	for _, fact := range image.Facts {
		f.Facts[fact[0]] = fact[1]
	}
	for _, r := range image.Rows {
		f.rows[r.Key] = r
	}
	return f, nil
}
