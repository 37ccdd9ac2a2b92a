package scenario

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/sim"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// seedsPerScenario is the number of timings with which each scenario must pass.
const seedsPerScenario = 25

// Every file in scenarios passes, whatever the timing. `raftsim -scenario FILE` plays one of them.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios were found: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sc, err := Parse(string(text))
			if err != nil {
				t.Fatal(err)
			}
			for seed := range uint64(seedsPerScenario) {
				if seed > 2 && (testing.Short() || underRace) {
					return
				}
				if r := Run(sc, sim.Config{Seed: seed}); r.Violation != nil {
					t.Fatalf("%v\nas it went:\n%s", r.Violation, strings.Join(r.Script, "\n"))
				} else if testing.Verbose() && seed == 0 {
					t.Logf("as it went with seed 0:\n%s", strings.Join(r.Script, "\n"))
				}
			}
		})
	}
}

// An expectation that is not met ends the run. The violation names the line, what was expected and what came instead.
func TestAScenarioFailsWhereItGoesOtherwise(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, text string
		says       []string
	}{
		{
			"the wrong value", "put x = 1 on leader => ok\nget x on leader => 2",
			[]string{"line 5, get x on leader => 2: expected 2, but the client was told", ": 1"},
		},
		{
			"refused, not done",
			"let lost be 2 followers\nlet rest be all but lost\nkill lost => no leader within 20 timeouts\n" +
				"write 1 on rest => ok",
			[]string{"line 7", "expected ok", "refused", "no leader"},
		},
		{
			"too late", "disk all takes 1s\nput x = 1 on leader => ok or not ok within 10ms",
			[]string{"line 5", "expected an answer within 10ms, but it took"},
		},
		{
			"no leader in time", "kill leader => another leader within 1 timeouts",
			[]string{"line 4, kill leader => another leader within 1 timeouts: not so after", "no node leads now", "is down"},
		},
		{
			"the leader as before", "wait 1s => another leader within 1s",
			[]string{"line 4", "leads as before"},
		},
		{
			"not for so long", "kill leader => no leader for 1m",
			[]string{"line 4", "no longer so after", "leads term"},
		},
		{
			"still behind",
			"let lazy be follower\nkill lazy\nwrite 10 on leader => ok\nstart lazy\nwait 3s => lazy behind by 10",
			[]string{"line 8", "misses 0 entries"},
		},
		{
			"it starts", "let well be follower\nkill well\nstart well => well refuse to start within 1s",
			[]string{"line 6", "has not refused to start"},
		},
		{
			"no leader", "kill leader\nput x = 1 on leader => ok",
			[]string{"line 5", "no node leads now"},
		},
		{
			"everybody down", "kill all => all agree within 1s",
			[]string{"line 4", "no node leads now"},
		},
		{
			"the disk of a node that runs", "wipe follower => all up",
			[]string{"line 4", "kill it before its disk is lost"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sc, err := Parse(start + c.text)
			if err != nil {
				t.Fatal(err)
			}
			r := Run(sc, sim.Config{Seed: 7})
			if r.Violation == nil || r.Violation.Broken != asWritten {
				t.Fatalf("it went well, or something else broke: %v\n%s", r.Violation, strings.Join(r.Script, "\n"))
			}
			for _, part := range c.says {
				if !strings.Contains(r.Violation.Detail, part) {
					t.Errorf("the violation does not say %q: %s", part, r.Violation.Detail)
				}
			}
			if last := r.Script[len(r.Script)-1]; !strings.Contains(last, "NO: ") {
				t.Errorf("the script does not show where it went wrong: %s", last)
			}
		})
	}
}

// The same scenario with the same seed goes exactly the same way, whether it is traced or not.
func TestAScenarioCanBeReplayed(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../scenarios/power-loss.txt")
	if err != nil {
		t.Fatal(err)
	}
	sc, err := Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	first := Run(sc, sim.Config{Seed: 3})
	again := Run(sc, sim.Config{Seed: 3, Trace: io.Discard})
	if first.Digest != again.Digest || !slices.Equal(first.Script, again.Script) {
		t.Errorf("digest %s, then %s", first.Digest, again.Digest)
	}
	if other := Run(sc, sim.Config{Seed: 4}); other.Digest == first.Digest {
		t.Error("two seeds give one run")
	}
}

// An append is sent in the name of a leader whose log ends as that of the follower does.
func TestAnInventedAppendIsForgedOnce(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../scenarios/extra-append.txt")
	if err != nil {
		t.Fatal(err)
	}
	script, err := Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if r := Run(script, sim.Config{Seed: 1}); r.Violation != nil || r.Struck[engine.Forge.String()] != 1 {
		t.Errorf("%d appends were forged: %v", r.Struck[engine.Forge.String()], r.Violation)
	}
}
