package kv

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The golden files pin, for each line, the text that clients and the log get: canonical forms, error texts and codes,
// and results. A line that begins with > is an input, and the lines after it are what becomes of it. <x*1000> in an
// input stands for 1000 times x.

func TestGoldenCommands(t *testing.T) {
	t.Parallel()
	checkGolden(t, "testdata/commands.golden", outcomeOf)
}

// outcomeOf returns what Parse, Validate, Admit and CheckEntry make of a line.
func outcomeOf(input string) string {
	var out strings.Builder
	line := []byte(input)
	command, err := Parse(line)
	switch {
	case err != nil:
		fmt.Fprintf(&out, "parse: %v\n", err)
	case command.Validate() != nil:
		fmt.Fprintf(&out, "validate: %v\n", command.Validate())
	default:
		fmt.Fprintf(&out, "command: %s\n", command.AppendJSON(nil))
	}
	if entry, err := Admit(line); err != nil {
		fmt.Fprintf(&out, "admit: %v\n", err)
	} else if string(entry) != string(command.AppendJSON(nil)) {
		fmt.Fprintf(&out, "admit: %s\n", entry)
	}
	if err := CheckEntry(line); err != nil {
		fmt.Fprintf(&out, "entry: %v\n", err)
	}
	return out.String()
}

func TestGoldenResults(t *testing.T) {
	t.Parallel()
	store := New()
	checkGolden(t, "testdata/results.golden", func(input string) string {
		result := store.applyText(store.Applied()+1, []byte(input))
		return string(result.AppendJSON(nil)) + "\n"
	})
}

func checkGolden(t *testing.T, name string, outputOf func(input string) string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	cases := strings.Split("\n"+string(text), "\n>")
	for _, c := range cases[1:] {
		input, want, _ := strings.Cut(c, "\n")
		want = strings.TrimRight(want, "\n")
		if got := shortened(outputOf(expanded(input))); got != want {
			t.Errorf("%s: %s\n got %s\nwant %s", name, input, got, want)
		}
	}
}

var repeated = regexp.MustCompile(`<([^<>*]+)\*(\d+)>`)

// expanded writes out what an input repeats, and \xff as the byte.
func expanded(input string) string {
	input = strings.ReplaceAll(input, "<ff>", "\xff")
	return repeated.ReplaceAllStringFunc(input, func(one string) string {
		parts := repeated.FindStringSubmatch(one)
		n, _ := strconv.Atoi(parts[2])
		return strings.Repeat(parts[1], n)
	})
}

// shortened replaces the middle of long lines by their length.
func shortened(output string) string {
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	for i, line := range lines {
		if len(line) > 1000 {
			lines[i] = fmt.Sprintf("%s...%s (%d bytes)", line[:100], line[len(line)-30:], len(line))
		}
	}
	return strings.Join(lines, "\n")
}
