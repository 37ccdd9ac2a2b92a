package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/sim"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// asProgram makes the test binary behave as raftsim, so that a test can start it as a process.
const asProgram = "RAFTSIM_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// call runs raftsim in this process.
func call(args ...string) (code int, stdout, stderr string) {
	var out, complaints bytes.Buffer
	code = run(args, &out, &complaints)
	return code, out.String(), complaints.String()
}

// start runs raftsim as a process of its own, with additions to the environment.
func start(t *testing.T, environment []string, args ...string) (code int, stdout string) {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(append(os.Environ(), asProgram+"=1"), environment...)
	out, err := c.Output()
	if c.ProcessState == nil {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), string(out)
}

var digestLine = regexp.MustCompile(`(?m)^digest +([0-9a-f]{16})$`)

// digest returns the digest in the output of raftsim.
func digest(t *testing.T, stdout string) string {
	t.Helper()
	found := digestLine.FindStringSubmatch(stdout)
	if found == nil {
		t.Fatalf("there is no digest in:\n%s", stdout)
	}
	return found[1]
}

func TestTheSameSeedPrintsTheSameDigestEverywhere(t *testing.T) {
	t.Parallel()
	args := []string{"-seed", "11", "-steps", "3000"}
	code, out, complaints := call(args...)
	if code != exitKept || complaints != "" {
		t.Fatalf("exit code %d, %s", code, complaints)
	}
	want := digest(t, out)
	if _, out, _ := call(append(args, "-v")...); digest(t, out) != want || len(out) < 100_000 {
		t.Errorf("with -v: %d bytes, digest %s, want %s", len(out), digest(t, out), want)
	}
	for _, environment := range [][]string{{"GOMAXPROCS=1"}, {"GOMAXPROCS=4", "GOGC=20"}} {
		if code, out := start(t, environment, args...); code != exitKept || digest(t, out) != want {
			t.Errorf("with %s: exit code %d, digest %s, want %s", environment, code, digest(t, out), want)
		}
	}
	if _, out, _ := call("-seed", "12", "-steps", "3000"); digest(t, out) == want {
		t.Errorf("another seed has the same digest %s", want)
	}
}

func TestOneRunIsPrinted(t *testing.T) {
	t.Parallel()
	code, out, _ := call(strings.Fields("-seed 3 -steps 1000 -nodes 4 -clients 2 -mix loss=0.125 -latency 2ms")...)
	if code != exitKept {
		t.Errorf("exit code %d, want %d", code, exitKept)
	}
	for _, wanted := range []string{
		"seed        3\n", "4 nodes, 2 clients", "message 2ms", "faults      loss=0.125\n", "struck      loss ",
		" a second and core\n", "operations  ", "simulated ", "heap  ", "digest  ", "every invariant held",
	} {
		if !strings.Contains(out, wanted) {
			t.Errorf("it does not print %q:\n%s", wanted, out)
		}
	}
}

func TestManyRunsArePrintedTheSameWithAnyNumberOfWorkers(t *testing.T) {
	t.Parallel()
	timing := regexp.MustCompile(`in .* and core|, \d at once`)
	var first string
	for _, workers := range []string{"1", "3"} {
		code, out, complaints := call("-seeds", "5+6", "-steps", "300", "-workers", workers)
		if code != exitKept || complaints != "" || !strings.Contains(out, "6 seeds, 0 violations") ||
			!strings.Contains(out, "seeds       5..10") {
			t.Errorf("exit code %d, %s:\n%s", code, complaints, out)
		}
		out = timing.ReplaceAllString(out, "")
		if first == "" {
			first = out
		}
		if out != first {
			t.Errorf("%s workers print\n%s, and one\n%s", workers, out, first)
		}
	}
}

func TestFreshSeedsArePrinted(t *testing.T) {
	t.Parallel()
	_, out, _ := call("-seeds", "fresh+1", "-steps", "10")
	if !regexp.MustCompile(`^seeds +(\d+)\.\.(\d+), `).MatchString(out) {
		t.Errorf("it does not print the seeds:\n%s", out)
	}
}

func TestJSONIsOneLine(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-seed", "5"}, {"-seeds", "5..6"}} {
		code, out, _ := call(append(args, "-steps", "300", "-json")...)
		var got report
		if err := json.Unmarshal([]byte(out), &got); err != nil || strings.Count(out, "\n") != 1 {
			t.Errorf("%v: %v: %s", args, err, out)
		}
		if code != exitKept || got.Seeds == 0 || got.Steps < 300 || got.SimulatedHours <= 0 || got.Violation != nil {
			t.Errorf("%v: exit code %d, %+v", args, code, got)
		}
	}
}

func TestAViolationIsPrintedInFull(t *testing.T) {
	t.Parallel()
	v := &sim.Violation{
		Seed: 7, Step: 1234, Broken: "election safety", Detail: "two leaders", Last: []string{"first", "last"},
	}
	var out bytes.Buffer
	printViolation(&out, v, replay("T2", sim.Config{Seed: 7, Nodes: 3, Without: []engine.Fault{engine.Crash}}))
	text := out.String()
	for _, wanted := range []string{
		"first\nlast\n", "BROKEN: election safety", "seed 7, step 1234: two leaders",
		"replay: raftsim -mutant T2 -seed 7 -nodes=3 -without=crash\n",
	} {
		if !strings.Contains(text, wanted) {
			t.Errorf("it does not print %q:\n%s", wanted, text)
		}
	}
	p := program{stdout: &out}
	out.Reset()
	s := sim.Summary{Seeds: 8, Steps: 1_234_567, Violations: []*sim.Violation{v}}
	if err := p.printJSON(reportMany(&s, speed{})); err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []string{
		`"seeds":8`, `"seed":7`, `"step":1234`, `"invariant":"election safety"`, `"detail":"two leaders"`,
	} {
		if !strings.Contains(out.String(), wanted) {
			t.Errorf("the JSON lacks %s: %s", wanted, out.String())
		}
	}
	out.Reset()
	summarize(&out, &s, speed{})
	if text := out.String(); !strings.Contains(text, "8 seeds, 1 violations\n  seed 7: election safety") ||
		!strings.Contains(text, "1,234,567") {
		t.Errorf("the summary is\n%s", text)
	}
}

func TestAWrongCommandLineStatesWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	for line, wanted := range map[string]string{
		"":                            "either -seed N or -seeds A..B",
		"-seed 1 -seeds 1..2":         "either -seed N or -seeds A..B",
		"-seed 1 more":                "begin with a dash",
		"-seed 1 -nodes 99":           "from 0 to 9",
		"-seed 1 -without tornado":    "torn-write",
		"-seeds 5..1":                 "0..500",
		"-seeds 1..2 -v":              "give them with -seed",
		"-seeds 1..2 -shrink":         "give them with -seed",
		"-seeds 1..2 -workers 0":      "at least 1",
		"-seed 1 -first":              "with -seeds",
		"-seed 1 -v -json":            "either -v or -json",
		"-seed 1 -shrink -v":          "neither -v nor -json",
		"-speed 1":                    "-speed",
		"-build out":                  "-mutant T12 -build OUT",
		"-mutant T12 -build out":      "-mutant T12 -build OUT",
		"-mutant T12 -build out a b":  "begin with a dash",
		"-mutant T12":                 "either -seed N or -seeds A..B",
		"-mutant nothing -seeds 1..2": "T12",
	} {
		code, out, complaints := call(strings.Fields(line)...)
		if code != exitUsage || out != "" || !strings.Contains(complaints, wanted) {
			t.Errorf("%q: exit code %d, %q, %q; want %d and %q", line, code, out, complaints, exitUsage, wanted)
		}
	}
	if code, _, complaints := call("-h"); code != exitKept || !strings.Contains(complaints, "-mutant ID") {
		t.Errorf("-h: exit code %d, %s", code, complaints)
	}
}

func TestThePlantedBugsAreListed(t *testing.T) {
	t.Parallel()
	if code, out, _ := call("-mutants"); code != exitKept || !strings.Contains(out, "T12 ") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

// The bug shows soon with every seed: the test is of the machinery, from the overlay to the exit code.
func TestAPlantedBugIsHuntedAndReplayed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds the simulator")
	}
	code, out, complaints := call("-mutant", "T12b", "-seeds", "0..50", "-steps", "2000")
	found := regexp.MustCompile(`caught by "(.*)", at seed (\d+), step (\d+)`).FindStringSubmatch(out)
	if code != exitKept || found == nil {
		t.Fatalf("exit code %d, %s:\n%s", code, complaints, out)
	}
	code, out, complaints = call("-mutant", "T12b", "-seed", found[2], "-steps", "2000")
	if code != exitBroken || !strings.Contains(out, "BROKEN: "+found[1]) ||
		!strings.Contains(out, "replay: raftsim -mutant T12b -seed "+found[2]+" -steps=2000\n") ||
		!strings.Contains(out, "seed "+found[2]+", step "+found[3]) {
		t.Errorf("the hunt found %q; the replay: exit code %d, %s:\n%s", found, code, complaints, out)
	}
	file := filepath.Join(t.TempDir(), "core.a")
	if code, out, complaints := call("-mutant", "T12b", "-build", file, "./node/raft"); code != exitKept {
		t.Errorf("-build: exit code %d, %s %s", code, out, complaints)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestNumbersAreReadable(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
	if got := counted(map[string]int{"a": 1, "b": 2000, "c": 1}); got != "b 2,000, a 1, c 1" {
		t.Errorf("got %s", got)
	}
}
