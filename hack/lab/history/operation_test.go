package history_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/hack/lab/history"
)

const (
	first  = `{"n":1,"client":2,"path":"lib","op":"put","key":"k","value":7,"call":10,"return":20,"outcome":"ok"}`
	second = `{"n":2,"client":0,"path":"plain","op":"cas","key":"k","expected":7,"new":8,"swapped":true,` +
		`"call":15,"return":25,"outcome":"unknown","code":"outcome_unknown"}`
	third = `{"n":3,"client":0,"path":"lib","op":"get","key":"k","call":30,"return":31,"outcome":"ok"}`
)

func TestTheWorkloadsOutputIsRead(t *testing.T) {
	t.Parallel()
	r := history.NewRecorder()
	if err := r.Read(strings.NewReader(first + "\n" + second + "\n")); err != nil {
		t.Fatal(err)
	}
	if ended, err := r.Ended(); ended || err != nil {
		t.Errorf("it has not ended: %t, %v", ended, err)
	}
	// The stream broke, and begins again a line earlier.
	if err := r.Read(strings.NewReader(second + "\n" + third + "\n" + `{"end":3}` + "\n")); err != nil {
		t.Fatal(err)
	}
	ops := r.Operations()
	if len(ops) != 3 || ops[0].Value != 7 || ops[1].Outcome != history.Unknown || ops[1].New != 8 || ops[2].Call != 30 ||
		ops[2].Serial != 3 {
		t.Errorf("got %+v", ops)
	}
	if ended, err := r.Ended(); !ended || err != nil {
		t.Errorf("it has ended: %t, %v", ended, err)
	}
}

func TestAHoleInTheLogIsNoticed(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a missing line":            first + "\n" + third,
		"a missing line at the end": first + "\n" + `{"end":2}`,
		"not an operation":          "panic: runtime error",
		"half an operation":         first[:40],
		"an unknown field":          strings.Replace(first, "client", "host", 1),
		"a return before the call":  strings.Replace(first, `"return":20`, `"return":9`, 1),
	} {
		r := history.NewRecorder()
		if err := r.Read(strings.NewReader(text + "\n")); err == nil {
			t.Errorf("%s: read without an error", name)
		}
		if _, err := r.Ended(); err == nil {
			t.Errorf("%s: forgotten", name)
		}
	}
}

func TestTheWorkloadsClockMayDiffer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := history.NewRecorder()
		theirs := time.Now().Add(-time.Hour) // its clock is behind by an hour
		for _, delivery := range []time.Duration{30 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond} {
			theirs = theirs.Add(time.Second)
			time.Sleep(time.Until(theirs.Add(time.Hour + delivery)))
			line := fmt.Sprintf(`{"n":%d,"client":0,"path":"lib","op":"put","key":"k","call":1,"return":%d,"outcome":"ok"}`,
				len(r.Operations())+1, theirs.UnixMicro())
			if err := r.Read(strings.NewReader(line)); err != nil {
				t.Fatal(err)
			}
		}
		want := theirs.Add(-10 * time.Millisecond).UnixMicro()
		if got := r.Clock(theirs.Add(time.Hour)); got != want {
			t.Errorf("got %d, want %d: an error of the shortest delivery time", got, want)
		}
	})
}
