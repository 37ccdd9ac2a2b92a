package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const partition = "../../sim/scenarios/partition-2-3.txt"

func TestAScenarioIsPrintedWithWhatHappenedBesideEachLine(t *testing.T) {
	t.Parallel()
	code, out, complaints := call("-scenario", partition, "-seed", "3")
	if code != exitKept {
		t.Fatalf("exit code %d: %s%s", code, out, complaints)
	}
	for _, part := range []string{
		"three go on, two refuse", "cut minority | majority", "leads term", "every expectation and every invariant held",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("it does not contain %q:\n%s", part, out)
		}
	}
	again, same, _ := call("-scenario", partition, "-seed", "3")
	if again != exitKept || same != out {
		t.Errorf("the same seed printed something else:\n%s", same)
	}
}

func TestAScenarioWhoseExpectationFailsIsAViolation(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "wrong.txt")
	text := "scenario Wrong\nnodes 3\nstart all => a leader within 10 timeouts\nput x = 1 on leader => refused\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, _ := call("-scenario", file)
	if code != exitBroken || !strings.Contains(out, "line 4, put x = 1 on leader => refused: expected refused") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	code, out, _ = call("-scenario", file, "-json")
	var got struct {
		Invariant string
		Script    []string
	}
	if err := json.Unmarshal([]byte(out), &got); code != exitBroken || err != nil || got.Invariant == "" ||
		len(got.Script) != 2 {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
}

func TestAScenarioThatCannotRunIsExplained(t *testing.T) {
	t.Parallel()
	cases := []struct {
		args []string
		part string
	}{
		{[]string{"-scenario", "no-such-file"}, "no such file"},
		{[]string{"-scenario", "scenario.go"}, "line 1"},
		{[]string{"-scenario", partition, "-nodes", "3"}, "-nodes cannot be combined with -scenario"},
		{[]string{"-scenario", partition, "-v", "-json"}, "either -v or -json"},
		{[]string{"-scenario", partition, "more"}, `unexpected argument "more"`},
	}
	for _, c := range cases {
		code, _, complaints := call(c.args...)
		if code != exitUsage || !strings.Contains(complaints, c.part) {
			t.Errorf("%v: exit code %d, and it does not contain %q: %s", c.args, code, c.part, complaints)
		}
	}
}
