package compaction

import (
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// sizesOf returns the sizes of a log whose entries have the same size each.
func sizesOf(last raft.Index, each int64) *Sizes {
	s := NewSizes(Window{}, 0)
	for i := raft.Index(1); i <= last; i++ {
		s.Append(i, each)
	}
	return &s
}

func TestCutsBehindTheCheckpoint(t *testing.T) {
	t.Parallel()
	w := Window{Entries: 1000, FollowerBytes: 40_000}
	whole := Log{Checkpoint: 10_000, Last: 10_000, Needed: 10_001}
	for _, c := range []struct {
		name   string
		change func(*Log)
		want   raft.Index
	}{
		{"a chunk at a time", func(l *Log) { l.Removed = 8000 }, 8000 + CutChunk},
		{"a part of many", func(*Log) {}, 9000 / 16},
		{"at most four chunks", func(l *Log) { l.Last, l.Checkpoint, l.Needed = 100_000, 100_000, 100_001 }, 4 * CutChunk},
		{"the window stays", func(l *Log) { l.Removed = 9000 }, 9000},
		{"up to the window", func(l *Log) { l.Removed = 9000 - CutChunk }, 9000},
		{"no whole chunk before the window", func(l *Log) { l.Removed = 9001 - CutChunk }, 9001 - CutChunk},
		{"the window is what is in memory", func(l *Log) { l.Removed, l.Tail = 9000, 9000+CutChunk }, 9000 + CutChunk},
		{"nothing that the checkpoint lacks (T50)", func(l *Log) { l.Checkpoint = CutChunk - 1 }, 0},
		{"all that the checkpoint has (T50)", func(l *Log) { l.Checkpoint = CutChunk }, CutChunk},
		{"nothing that a follower lacks", func(l *Log) { l.Removed, l.Needed = 8000, 8001 }, 8000},
		{"what a follower has", func(l *Log) { l.Removed, l.Needed = 8000, 8001+CutChunk }, 8000 + CutChunk},
		{"what is dearer than a snapshot", func(l *Log) { l.Removed, l.Needed = 5000, 1 }, 5000 + CutChunk},
		{"what is as dear as a snapshot stays", func(l *Log) { l.Needed, l.StateBytes = 1, 10*10_000 }, 0},
		{"a short log stays", func(l *Log) { l.Last, l.Checkpoint, l.Needed = 900, 900, 901 }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			log := whole
			c.change(&log)
			if got := w.CutTo(log, sizesOf(log.Last, 10)); got != c.want {
				t.Errorf("it cuts to %d, want %d", got, c.want)
			}
		})
	}
}

func TestALogOfWhichAllStaysForAFollowerIsNotCut(t *testing.T) {
	t.Parallel()
	for _, each := range []int{1, CutChunk, 4 * CutChunk} {
		w := Window{FollowerBytes: 1 << 20}
		s := NewSizes(w, 0)
		for i := range 8 * CutChunk / each {
			entries := make([]raft.Entry, each)
			for k := range entries {
				entries[k] = raft.Entry{Index: raft.Index(i*each + k + 1), Command: make([]byte, 10)}
			}
			s.Add(entries)
		}
		log := Log{Checkpoint: 8 * CutChunk, Last: 8 * CutChunk, Needed: 1}
		if to := w.CutTo(log, &s); to != 0 {
			t.Errorf("added %d at a time: it cuts to %d, and a follower lacks entry 1 of a log that is cheap to send", each, to)
		}
		log.Needed = log.Last + 1
		if to := w.CutTo(log, &s); to != CutChunk {
			t.Errorf("added %d at a time: it cuts to %d, want %d", each, to, CutChunk)
		}
	}
}

func TestSizesAreBoundedAndNearTheTruth(t *testing.T) {
	t.Parallel()
	s := sizesOf(100_000, 7)
	if most := 100_000/(CutChunk-1) + 2; len(s.groups) > most {
		t.Errorf("100,000 entries have %d groups, want at most %d", len(s.groups), most)
	}
	for _, bytes := range []int64{0, 1, 7 * CutChunk, 70_000, 690_000} {
		from := s.Within(bytes)
		behind := int64(100_000-from) * 7
		if behind > bytes || behind+2*7*CutChunk < bytes {
			t.Errorf("behind entry %d are %d bytes, want at most %d and nearly as many", from, behind, bytes)
		}
	}
	s.Remove(90_000)
	if from := s.Within(7 * 100_000); from < 90_000 {
		t.Errorf("entry %d was removed, and its size is still known", from)
	}
	s.Append(95_000, 7) // the entries from 95,000 on were replaced
	if from := s.Within(0); from != 95_000 {
		t.Errorf("the log ends at %d, want 95000", from)
	}
}
