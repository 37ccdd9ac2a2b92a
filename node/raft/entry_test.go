package raft

import (
	"encoding/json"
	"testing"
)

func TestEntryTypeIsAFunctionOfTheCommand(t *testing.T) {
	t.Parallel()
	wantEqual(t, "type of a no-op", Entry{Command: []byte(`{"op":"noop"}`)}.Type(), EntryNoOp)
	wantEqual(t, "type of a command", Entry{Command: []byte(`{"op":"set","key":"noop"}`)}.Type(), EntryCommand)
}

func TestEntryJSON(t *testing.T) {
	t.Parallel()
	e := Entry{Index: 12, Term: 3, Timestamp: 1_700_000_000_000_001, Command: []byte(`{"op":"get","key":"x"}`)}
	want := `{"index":12,"term":3,"type":"command","command":{"op":"get","key":"x"},"timestamp":1700000000.000001}`
	got := string(e.AppendJSON(nil))
	wantEqual(t, "entry", got, want)
	wantEqual(t, "is JSON", json.Valid([]byte(got)), true)
}

func TestSecondsKeepEveryMicrosecond(t *testing.T) {
	t.Parallel()
	for micros, want := range map[int64]string{
		0: "0.000000", 1: "0.000001", 999_999: "0.999999", 1_000_000: "1.000000", -1: "-0.000001", -1_500_000: "-1.500000",
	} {
		wantEqual(t, "seconds", string(AppendSeconds(nil, micros)), want)
	}
}
