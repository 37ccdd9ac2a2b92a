package raft

import "testing"

// T54: the digest of a log depends on every part of every entry, and on their order.
func TestDigestCoversTheWholeLog(t *testing.T) {
	t.Parallel()
	log := func() []Entry {
		return []Entry{
			{Index: 1, Term: 1, Timestamp: 7, Command: []byte(`{"op":"noop"}`)},
			{Index: 2, Term: 1, Timestamp: 8, Command: []byte(`{"op":"set","key":"x","value":1}`)},
			{Index: 3, Term: 2, Timestamp: 9, Command: []byte(`{"op":"delete","key":"x"}`)},
		}
	}
	digest := func(entries []Entry) (d Digest) {
		for i := range entries {
			d = d.Extend(&entries[i])
		}
		return d
	}
	want := digest(log())
	changes := map[string]func(l []Entry){
		"index":     func(l []Entry) { l[1].Index = 5 },
		"term":      func(l []Entry) { l[0].Term = 2 },
		"timestamp": func(l []Entry) { l[2].Timestamp++ },
		"command":   func(l []Entry) { l[1].Command[30] = '2' },
		"order":     func(l []Entry) { l[0], l[1] = l[1], l[0] },
	}
	for name, change := range changes {
		changed := log()
		change(changed)
		if got := digest(changed); got == want {
			t.Errorf("another %s leaves the digest %08x as it is", name, got)
		}
	}
	if want == 0 || digest(log()[:2]) == want || digest(nil) != 0 {
		t.Errorf("digest %08x of three entries, %08x of two, %08x of none", want, digest(log()[:2]), digest(nil))
	}
}
