package storage

import (
	"bytes"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// A long history is written in segments of bounded size. A segment is removed when its last version is cut, and a
// version that is cut is not read before that.
func TestHistoryIsWrittenInSegments(t *testing.T) {
	t.Parallel()
	m := newMachine(t, t.TempDir(), Options{checkpointPages: 4000})
	const changes, size = 1000, 2000
	commands := make([]string, changes)
	for i := range commands {
		commands[i] = fmt.Sprintf(`{"op":"put","key":"k%d","value":"%s"}`, i%7, strings.Repeat("v", size))
	}
	m.do(commands...)
	m.save()
	segments := func() (n int64) {
		t.Helper()
		err := m.d.checkpoint.reader.query(historyStatement, func(row []driver.Value) error {
			n++
			if data, _ := row[3].([]byte); len(data) > segmentBytes+2*size {
				t.Errorf("a segment has %d bytes", len(data))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	all := segments()
	if least := int64((changes - 7) * size / (segmentBytes + 2*size)); all < least || all > least+2 {
		t.Errorf("the history has %d segments, want about %d", all, least)
	}
	for _, to := range []raft.Index{8, 100, 990, m.last} { // the third removes more than one statement does
		m.do(fmt.Sprintf(`{"op":"compact","revision":%d}`, to))
		for range changes/256 + 1 { // each entry removes a part
			m.do(`{"op":"noop"}`)
		}
		m.save()
		loaded, err := m.d.LoadState()
		if err != nil || loaded.Digest() != m.store.Digest() || loaded.Stats() != m.store.Stats() {
			t.Fatalf("cut up to %d: the state is %+v, and comes back as %+v, %v", to, m.store.Stats(), loaded.Stats(), err)
		}
		left := int64(changes-min(to, changes)) * size / segmentBytes
		if n := segments(); n < left || n > left+2 {
			t.Errorf("cut up to %d the history has %d segments of %d, want about %d", to, n, all, left)
		}
	}
	if n := segments(); n != 0 {
		t.Errorf("a history that is cut has %d segments", n)
	}
	mustClose(t, m.d)
}

var pasts = []kv.Past{
	{Until: 7, UntilModified: -3, Record: kv.Record{
		Key: "a", Value: []byte{}, ModRevision: 1, CreateRevision: 1, Version: 1,
	}},
	{Until: 1 << 40, UntilPosition: 511, UntilModified: 1 << 50, Deleted: true, Record: kv.Record{
		Key: "é\x00", Value: []byte("a\x00b"), ContentType: "text/plain", ModRevision: 1 << 39, CreateRevision: 3,
		Version: 1 << 30, Position: 4, Modified: 1_700_000_000_000_001,
	}},
	{Until: 1 << 40, UntilPosition: 512, Record: kv.Record{
		Key: "c", Value: bytes.Repeat([]byte("v"), 300), ModRevision: 9, CreateRevision: 9, Version: 1,
	}},
}

func segmentRow(versions ...kv.Past) []driver.Value {
	var g segment
	for i := range versions {
		g.add(&versions[i])
	}
	return sealed(g.id, int64(g.last), g.count, g.data)
}

// sealed returns a row with its checksum.
func sealed(id, last, count int64, data []byte) []driver.Value {
	return []driver.Value{id, last, count, data, segmentSum(id, last, count, data)}
}

func readVersions(row []driver.Value) (got []kv.Past, err error) {
	err = readSegment(row, func(p kv.Past) error {
		got = append(got, p)
		return nil
	})
	return got, err
}

func TestASegmentIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	row := segmentRow(pasts...)
	got, err := readVersions(row)
	if err != nil || !reflect.DeepEqual(got, pasts) {
		t.Errorf("%+v comes back as %+v, %v", pasts, got, err)
	}
	clear(row[3].([]byte))
	if string(got[1].Record.Value) != "a\x00b" {
		t.Error("a value shares the memory of its segment")
	}
	wrong := errors.New("wrong")
	if err := readSegment(segmentRow(pasts...), func(kv.Past) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("the error is %v", err)
	}
}

// S10: a segment that was not written like this is damaged, even if its checksum fits.
func TestADamagedSegmentIsRefused(t *testing.T) {
	t.Parallel()
	good := segmentRow(pasts...)
	id, last, count, data := good[0].(int64), good[1].(int64), good[2].(int64), good[3].([]byte)
	huge := bytes.Repeat([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 12)
	rows := map[string][]driver.Value{
		"another id": sealed(id+1, last, count, data), "another end": sealed(id, last+1, count, data),
		"fewer versions": sealed(id, last, count-1, data), "more versions": sealed(id, last, count+1, data),
		"a negative number": sealed(id, last, -1, data), "no version": sealed(0, 0, 0, nil),
		"bytes behind the end": sealed(id, last, count, append(slices.Clone(data), 0)),
		"text":                 {id, last, count, string(data), good[4]}, "no checksum": {id, last, count, data, nil},
		"another checksum": {id, last, count, data, good[4].(int64) ^ 1},
		"a huge length":    sealed(id, last, 1, huge),
	}
	for i := range data {
		rows[fmt.Sprintf("%d bytes of %d", i, len(data))] = sealed(id, last, count, data[:i])
	}
	for name, row := range rows {
		if _, err := readVersions(row); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range data {
		changed := slices.Clone(data)
		changed[i] ^= 1
		if _, err := readVersions([]driver.Value{id, last, count, changed, good[4]}); !errors.Is(err, ErrDamaged) {
			t.Errorf("a flipped bit in byte %d: %v", i, err)
		}
		_, _ = readVersions(sealed(id, last, count, changed)) // it must not panic
	}
}
