package room

import (
	"math"
	"strings"
	"testing"
)

const mib = 1 << 20

func TestTheQuotaHasTwoMarksForEachLevel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		was   Quota
		quota int64
		use   Use
		want  Quota
	}{
		{QuotaOK, 0, Use{Live: math.MaxInt64}, QuotaOK}, // no quota
		{QuotaExceeded, 0, Use{Live: math.MaxInt64}, QuotaOK},
		{QuotaOK, 100, Use{}, QuotaOK},
		{QuotaOK, 100, Use{Live: 79}, QuotaOK},
		{QuotaOK, 100, Use{Live: 80}, QuotaWarning},
		{QuotaOK, 100, Use{Live: 40, InFlight: 40}, QuotaWarning},
		{QuotaWarning, 100, Use{Live: 75}, QuotaWarning},
		{QuotaWarning, 100, Use{Live: 74}, QuotaOK},
		{QuotaWarning, 100, Use{Live: 99}, QuotaWarning},
		{QuotaWarning, 100, Use{Live: 100}, QuotaExceeded},
		{QuotaOK, 100, Use{Live: 1, InFlight: 99}, QuotaExceeded},
		{QuotaExceeded, 100, Use{Live: 95}, QuotaExceeded},
		{QuotaExceeded, 100, Use{Live: 94}, QuotaWarning},
		{QuotaExceeded, 100, Use{Live: 75}, QuotaWarning},
		{QuotaExceeded, 100, Use{Live: 10}, QuotaOK},
		{QuotaOK, 1, Use{Live: 1}, QuotaExceeded},
		{QuotaOK, math.MaxInt64, Use{Live: math.MaxInt64 - 1}, QuotaWarning},
	} {
		if got := (State{Quota: c.was}).Next(Limits{Quota: c.quota}, c.use); got.Quota != c.want || got.Disk != DiskOK {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

func TestTheReserveHasTwoMarksForEachLevel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		was           Disk
		reserve, free int64
		want          Disk
	}{
		{DiskOK, 0, 0, DiskOK}, // no reserve
		{DiskFull, 0, 0, DiskOK},
		{DiskOK, 100, -1, DiskOK}, // unknown
		{DiskLow, 100, -1, DiskLow},
		{DiskOK, 100, 100, DiskOK},
		{DiskOK, 100, 99, DiskLow},
		{DiskLow, 100, 124, DiskLow},
		{DiskLow, 100, 125, DiskOK},
		{DiskLow, 100, 25, DiskLow},
		{DiskOK, 100, 24, DiskFull},
		{DiskFull, 100, 39, DiskFull},
		{DiskFull, 100, 40, DiskLow},
		{DiskFull, 100, 200, DiskOK},
		{DiskOK, math.MaxInt64, 0, DiskFull},
	} {
		got := State{Disk: c.was}.Next(Limits{Reserve: c.reserve}, Use{Free: c.free})
		if got.Disk != c.want || got.Grows() != (c.want == DiskOK) {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

// A use that goes up and down by less than the distance of the marks changes the level once.
func TestALevelDoesNotComeAndGo(t *testing.T) {
	t.Parallel()
	state, changes := State{}, 0
	for i := range int64(1000) {
		next := state.Next(Limits{Quota: 1000, Reserve: 1000}, Use{Live: 980 + i%40, Free: 980 + i%40})
		if next != state {
			changes++
		}
		state = next
	}
	if changes > 2 || state != (State{QuotaExceeded, DiskLow}) {
		t.Errorf("%d changes, the last to %+v", changes, state)
	}
}

// A message has what is used, the limit, what is refused until when, and what to do, and fits where texts of peers do.
func TestATextSaysWhatToDo(t *testing.T) {
	t.Parallel()
	l, u := Limits{Quota: 100 * mib, Reserve: 40 * mib}, Use{Live: 99 * mib, InFlight: 2 * mib, Free: 9 * mib}
	reusable := u
	reusable.Reusable = 1000 * mib
	for text, want := range map[string][]string{
		State{Disk: DiskLow}.DiskText(l, reusable):  {"9.0 MiB", "state.db has 1000 MiB unused", "delete keys"},
		State{Quota: QuotaWarning}.QuotaText(l, u):  {"101 MiB", "100 MiB", "--quota-bytes", "delete keys"},
		State{Quota: QuotaExceeded}.QuotaText(l, u): {"101 MiB", "100 MiB", "95 MiB", "--quota-bytes", "delete keys"},
		State{Disk: DiskLow}.DiskText(l, u):         {"9.0 MiB", "40 MiB", "50 MiB", "disk", "free some space"},
		State{Disk: DiskFull}.DiskText(l, u):        {"9.0 MiB", "40 MiB", "16 MiB", "no entries", "free some space"},
		State{}.QuotaText(l, u):                     {"holds 101 MiB"},
		State{}.DiskText(l, u):                      {"has 9.0 MiB"},
	} {
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%q does not have %q", text, part)
			}
		}
		if len(text) > 240 {
			t.Errorf("it has %d bytes: %s", len(text), text)
		}
	}
}

func TestWhatIsInFlightIsCountedUntilItIsApplied(t *testing.T) {
	t.Parallel()
	var f InFlight
	want := func(bytes int64, after string) {
		t.Helper()
		if f.Bytes() != bytes {
			t.Errorf("after %s: %d, want %d", after, f.Bytes(), bytes)
		}
	}
	f.Add(1, 3, 300)
	f.Add(4, 4, 100)
	f.Add(5, 6, 0) // they add nothing
	f.Add(7, 9, 300)
	want(700, "four appends")
	f.Applied(2)
	want(700, "a part of a run is applied")
	f.Applied(4)
	want(300, "two runs are applied")
	f.Add(8, 8, 50)
	want(350, "the end of a run was replaced")
	f.Add(7, 7, 10)
	want(10, "all was replaced")
	f.Add(8, 12, 10)
	if f.Entries() != 6 {
		t.Errorf("%d entries are in flight, want 6", f.Entries())
	}
	f.Applied(100)
	want(0, "all is applied")
	if f.Entries() != 0 {
		t.Errorf("%d entries are in flight, and all are applied", f.Entries())
	}
}

// Deletes free pages inside the file of the state, and the disk does not get them back: they count, half of them, while
// most of the reserve is free on the disk itself.
func TestWhatDeletesFreeInsideTheFileCounts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		was            Disk
		free, reusable int64
		want           Disk
	}{
		{DiskOK, 99, 0, DiskLow},
		{DiskOK, 99, 2, DiskOK},
		{DiskOK, 75, 50, DiskOK},
		{DiskOK, 75, 48, DiskLow},
		{DiskOK, 74, 1000, DiskLow}, // checkpoints need it
		{DiskLow, 90, 68, DiskLow},
		{DiskLow, 90, 70, DiskOK},
		{DiskLow, 85, 80, DiskOK},
		{DiskLow, 84, 1000, DiskLow},
		{DiskOK, 24, 1000, DiskFull},
		{DiskFull, 39, 1000, DiskFull},
		{DiskFull, 40, 1000, DiskLow},
	} {
		got := State{Disk: c.was}.Next(Limits{Reserve: 100}, Use{Free: c.free, Reusable: c.reusable}).Disk
		if got != c.want {
			t.Errorf("%d, %d free and %d reusable: %d, want %d", c.was, c.free, c.reusable, got, c.want)
		}
	}
}

// What the next checkpoint will take is not free, so that there is one, and it is due before the disk is low because of
// that.
func TestWhatIsNotSavedIsNotFree(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		was           Disk
		free, unsaved int64
		want          Disk
		mustSave      bool
	}{
		{DiskOK, 1000, 800, DiskOK, false},
		{DiskOK, 1000, 801, DiskOK, true},
		{DiskOK, 205, 7, DiskOK, true},
		{DiskOK, 204, 6, DiskOK, false}, // too little
		{DiskOK, 150, 50, DiskOK, true},
		{DiskOK, 150, 51, DiskLow, true},
		{DiskLow, 150, 26, DiskLow, true},
		{DiskLow, 150, 25, DiskOK, true},
		{DiskOK, 50, 0, DiskLow, false},
		{DiskOK, 60, 1000, DiskLow, true}, // it may still take entries
		{DiskOK, 24, 0, DiskFull, false},
		{DiskOK, -1, 1000, DiskOK, false},
	} {
		l, u := Limits{Reserve: 100}, Use{Free: c.free, Unsaved: c.unsaved}
		if got := (State{Disk: c.was}).Next(l, u).Disk; got != c.want || l.MustSave(u) != c.mustSave {
			t.Errorf("%d, %d free and %d unsaved: %d and %v", c.was, c.free, c.unsaved, got, l.MustSave(u))
		}
	}
	if (Limits{}).MustSave(Use{Unsaved: 1000}) {
		t.Error("without a reserve a checkpoint is due")
	}
	for unsaved, mustSave := range map[int64]bool{56: false, 57: true} {
		if u := (Use{Free: 100, Unsaved: unsaved, Owed: 50}); (Limits{Reserve: 100}).MustSave(u) != mustSave {
			t.Errorf("with %d unsaved, of which 50 are owed by the last checkpoint: %v", unsaved, !mustSave)
		}
	}
	text := State{Disk: DiskLow}.DiskText(Limits{Reserve: 40 * mib}, Use{Free: 69 * mib, Unsaved: 66 * mib})
	if !strings.Contains(text, "the next checkpoint takes 66 MiB") || len(text) > 240 {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}

// What others appended is taken on a disk that is low, while its checkpoint leaves half of the reserve.
func TestWhatOthersAppendedLeavesRoomForItsCheckpoint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reserve, free, unsaved int64
		want                   bool
	}{
		{100, 63, 0, true},
		{100, 62, 0, false},
		{100, 163, 100, true},
		{100, 163, 101, false},
		{100, -1, 1000, true}, // unknown
		{0, 0, 1000, true},    // no reserve
	} {
		if got := (Limits{Reserve: c.reserve}).MayAdd(Use{Free: c.free, Unsaved: c.unsaved}); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
