package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const partition = "../../sim/scenarios/partition-2-3.txt"

func TestAStoryIsToldWithWhatHappenedBesideEachLine(t *testing.T) {
	t.Parallel()
	code, out, complaints := call("-scenario", partition, "-seed", "3")
	if code != exitKept {
		t.Fatalf("exit code %d: %s%s", code, out, complaints)
	}
	for _, part := range []string{
		"three go on, two refuse", "cut minority | majority", "leads term", "it went as it is written",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("it does not say %q:\n%s", part, out)
		}
	}
	again, same, _ := call("-scenario", partition, "-seed", "3")
	if again != exitKept || same != out {
		t.Errorf("the same seed told it otherwise:\n%s", same)
	}
}

func TestAStoryThatGoesOtherwiseIsAViolation(t *testing.T) {
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
	var said struct {
		Invariant string
		Script    []string
	}
	if err := json.Unmarshal([]byte(out), &said); code != exitBroken || err != nil || said.Invariant == "" ||
		len(said.Script) != 2 {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
}

func TestAStoryThatCannotBeToldSaysWhy(t *testing.T) {
	t.Parallel()
	cases := []struct {
		args []string
		says string
	}{
		{[]string{"-scenario", "no-such-file"}, "no such file"},
		{[]string{"-scenario", "scenario.go"}, "line 1"},
		{[]string{"-scenario", partition, "-nodes", "3"}, "-nodes means nothing with -scenario"},
		{[]string{"-scenario", partition, "-v", "-json"}, "either -v or -json"},
		{[]string{"-scenario", partition, "more"}, `"more" means nothing here`},
	}
	for _, c := range cases {
		code, _, complaints := call(c.args...)
		if code != exitUsage || !strings.Contains(complaints, c.says) {
			t.Errorf("%v: exit code %d, and it does not say %q: %s", c.args, code, c.says, complaints)
		}
	}
}
