package controllers

import (
	"fmt"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/controllers/objects"
)

func TestFightIsToldFromTheThirdTimeOnAndForAMinute(t *testing.T) { // O32: a new process begins anew
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fields := []objects.Difference{{Field: "spec.replicas", Want: "3", Have: "0"}}
	var r reverts
	for i := range 4 {
		now := start.Add(time.Duration(i) * 20 * time.Second)
		r.note("a", fmt.Sprint(i), fields, now)
		r.note("a", fmt.Sprint(i), fields, now) // seen once more in a cache that lags behind
		if told := len(r.keeps("a", now)) > 0; told != (i >= 2) {
			t.Errorf("put right for the %d. time: told %t", i+1, told)
		}
	}
	last := start.Add(time.Minute)
	if len(r.keeps("a", last.Add(revertWindow))) == 0 || len(r.keeps("a", last.Add(revertWindow+time.Second))) > 0 {
		t.Error("what stays as it is for a minute is no fight any more, and before that it is")
	}
	if len(r.keeps("b", last)) > 0 {
		t.Error("another object is told of")
	}
	r.note("b", "1", fields, last.Add(time.Hour))
	if n := len(r.byUID); n != 1 {
		t.Errorf("%d objects are remembered after an hour, want 1", n)
	}
	for i := range 5 { // as often, but seldom
		now := last.Add(time.Duration(i+2) * time.Hour)
		if r.note("b", fmt.Sprint("x", i), fields, now); len(r.keeps("b", now)) > 0 {
			t.Error("one edit in an hour is a fight")
		}
	}
}
