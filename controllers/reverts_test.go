package controllers

import (
	"fmt"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/controllers/objects"
)

func TestConflictIsReportedFromTheThirdTimeForAMinute(t *testing.T) { // O32: a new process begins anew
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fields := []objects.Difference{{Field: "spec.replicas", Want: "3", Have: "0"}}
	var r reverts
	for i := range 4 {
		now := start.Add(time.Duration(i) * 20 * time.Second)
		r.note("a", fmt.Sprint(i), fields, now)
		r.note("a", fmt.Sprint(i), fields, now) // observed once more in a stale cache
		if reported := len(r.keeps("a", now)) > 0; reported != (i >= 2) {
			t.Errorf("restored %d times: reported %t", i+1, reported)
		}
	}
	last := start.Add(time.Minute)
	if len(r.keeps("a", last.Add(revertWindow))) == 0 || len(r.keeps("a", last.Add(revertWindow+time.Second))) > 0 {
		t.Error("an object that is unchanged for a minute is in no conflict any more, and before that it is")
	}
	if len(r.keeps("b", last)) > 0 {
		t.Error("another object is reported")
	}
	r.note("b", "1", fields, last.Add(time.Hour))
	if n := len(r.byUID); n != 1 {
		t.Errorf("%d objects are recorded after an hour, want 1", n)
	}
	for i := range 5 { // as often, but rarely
		now := last.Add(time.Duration(i+2) * time.Hour)
		if r.note("b", fmt.Sprint("x", i), fields, now); len(r.keeps("b", now)) > 0 {
			t.Error("one edit in an hour is a conflict")
		}
	}
}
