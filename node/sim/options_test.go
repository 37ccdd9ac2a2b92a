package sim

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

func TestACommandLineLeadsToItsConfigurationAgain(t *testing.T) {
	t.Parallel()
	mix := engine.Mix{}
	mix[engine.Loss], mix[engine.Crash] = 1.0/3, 0.0002
	for _, cfg := range []Config{
		{},
		{Seed: 1<<64 - 1, Steps: 5, Chapter: 2, Nodes: 4, Clients: -1},
		{Seed: 7, Without: []engine.Fault{engine.Crash, engine.BitFlip}, Inflight: 16, MessageEntries: 3},
		{Seed: 7, Mix: &mix, Heartbeat: 50 * time.Millisecond, ElectionTimeout: time.Second},
		{Mix: &engine.Mix{}, Latency: time.Microsecond, DiskLatency: 3 * time.Millisecond},
		{Limits: Limits{Production: true}},
		{Limits: Limits{Revisions: 10, Age: 5 * time.Second, Window: 1, Cut: 2, CheckpointAfter: 20 * time.Millisecond}},
	} {
		got, err := ParseOptions(cfg.CommandLine())
		if err != nil || !reflect.DeepEqual(got, cfg) {
			t.Errorf("%s gives %+v, %v; want %+v", cfg.CommandLine(), got, err, cfg)
		}
	}
}

func TestAWrongOptionSaysWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	for line, wanted := range map[string]string{
		"-nodes 10":                             "from 0 to 9",
		"-nodes=-1":                             "from 0 to 9",
		"-clients=-2":                           "from -1 to 1000",
		"-steps=-5":                             "from 0 to",
		"-chapter=-1":                           "from 0 to",
		"-inflight=-1":                          "from 0 to 1024",
		"-entries=-1":                           "from 0 to",
		"-latency 2h":                           "from 0 to 1h",
		"-seed x":                               "-seed",
		"-seed 1 2":                             "options of a run",
		"-without loss,lost":                    "power-loss",
		"-mix loss":                             "such as loss=0.1",
		"-mix loss=often":                       "such as loss=0.1",
		"-mix loss=1.5":                         "from 0 to 1",
		"-mix loss=-0.5":                        "from 0 to 1",
		"-mix loss=NaN":                         "from 0 to 1",
		"-mix partition=1e6":                    "from 0 to 1000",
		"-mix tornado=1":                        "torn-write",
		"-limits window":                        "such as window=5",
		"-limits window=0":                      "at least 1",
		"-limits age=3":                         "such as window=5 or age=10s",
		"-limits age=1us":                       "at least 1ms",
		"-limits size=5":                        "the limits are revisions",
		"-heartbeat 1s -election-timeout 200ms": "must not be below -heartbeat",
	} {
		if cfg, err := ParseOptions(line); err == nil || !strings.Contains(err.Error(), wanted) {
			t.Errorf("%s gives %+v and the error %v; want one that says %q", line, cfg, err, wanted)
		}
	}
}
