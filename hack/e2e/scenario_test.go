package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/hack/e2e/report"
)

// The names of the scenario's objects, and the images that make e2e builds.
const (
	release           = "kontiki-e2e"
	operatorNamespace = "kontiki-e2e-system"
	namespace         = "kontiki-e2e"
	metricsReader     = "metrics-reader"

	operatorRepository = "kontiki/operator"
	raftnodeRepository = "kontiki/raftnode"
	tag                = "dev"
	raftnodeImage      = raftnodeRepository + ":" + tag
	workloadImage      = "kontiki/e2e:" + tag
)

// The aims, and the default election timeout of a RaftCluster.
const (
	electionTimeout = time.Second
	readyWithin     = 30 * time.Second
	gracefulGap     = time.Second
	forcedGap       = 3 * electionTimeout
	rollingGap      = 2 * time.Second
	rollingWithin   = 2 * time.Minute
)

// scenario is the state that the steps share.
type scenario struct {
	t        *testing.T
	kube     *kube
	operator *operator
	cluster  *raft
	load     *workload // nil until the first write
	home     string    // the Kubernetes node where the workload runs: it is neither partitioned nor drained
	steps    []report.Step
	broken   bool // a step failed in a way that makes the next ones meaningless
}

// measurement is what one step measures.
type measurement struct {
	aims     []report.Aim
	gapLimit time.Duration // for the longest gap of the library's clients; 0: none
	began    time.Time     // when the measured part began, if that is not the whole step
	// gap and plain are the longest gaps, of a step that has its own workload.
	gap, plain time.Duration
}

// reach records a measurement and its upper limit.
func (c *measurement) reach(what string, measured, limit time.Duration) {
	c.aims = append(c.aims, report.Aim{What: what, Measured: measured, Limit: limit})
}

func TestEndToEnd(t *testing.T) {
	if os.Getenv("E2E") != "1" {
		t.Skip("the end-to-end test changes the Kubernetes that KUBECONFIG names; make e2e runs it")
	}
	if err := os.MkdirAll(artefacts, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(artefacts, "dump")); err != nil {
		t.Fatal(err)
	}
	s := &scenario{t: t, kube: connect(t)}
	s.cluster = &raft{kube: s.kube, name: "demo"}
	s.home = s.lastNode()
	s.clean(t)
	t.Cleanup(func() {
		if os.Getenv("E2E_KEEP") == "1" {
			t.Log("E2E_KEEP=1: what was installed stays")
			return
		}
		s.clean(t)
	})
	s.operator = &operator{kube: s.kube}
	s.kube.record(t, operatorNamespace, operatorSelector, "operator.log", s.operator.read)
	s.kube.record(t, namespace, v1alpha1.LabelCluster, "nodes.log", nil)
	s.run()
	s.publish()
}

// run runs the steps of the scenario.
func (s *scenario) run() {
	s.step("helm install the operator", s.install)
	s.step("apply to Ready", s.apply)
	s.step("write and read through the client Service", s.writeAndRead)
	s.step("the dashboard in a browser", s.dashboard)
	s.step("leader deleted gracefully", s.deleteLeader)
	s.step("leader deleted by force", s.forceLeader)
	s.step("rolling change of resources", s.roll)
	s.step("a bad image and its correction", s.badImage)
	s.step("the leader's node cut off and healed", s.cutNode)
	s.step("operator killed in the middle of a roll", s.killOperator)
	s.step("a minute without work", s.steady)
	s.step("operator chart upgraded", s.upgradeOperator)
	s.step("paused and unpaused", s.pause)
	s.step("a drain through evictions", s.drain)
	s.step("deleted, volumes kept, applied again", s.adopt)
	s.step("the history is linearizable", s.judge)
	s.step("helm test of the cluster's chart", s.chart)
	s.step("an empty disk", s.emptyDisk)
	s.step("the operator's log and requests", s.judgeOperator)
	s.step("helm uninstall the operator", s.uninstall)
}

// step runs one step, measures it, and reports. If the step fails, it saves the state of the cluster.
func (s *scenario) step(name string, do func(*testing.T, *measurement)) {
	if s.broken {
		s.steps = append(s.steps, report.Step{Name: name, Result: "not reached"})
		return
	}
	r := report.Step{Name: name, Result: "not chosen by -run"}
	load := s.load
	passed := s.t.Run(name, func(t *testing.T) {
		c := &measurement{began: time.Now()}
		r.Result = "passed"
		start, told := time.Now(), false
		defer func() {
			end := time.Now()
			r.Took, r.Aims = end.Sub(start), c.aims
			if t.Skipped() {
				r.Result = "skipped"
				return
			}
			s.broken = !told
			if s.broken || t.Failed() {
				s.kube.dump(t)
			}
		}()
		do(t, c)
		end := time.Now()
		r.Gap, r.Plain = c.gap, c.plain
		if load != nil && load == s.load {
			r.Gap, r.Plain = load.gaps(t, c.began, end)
			t.Log(load.outcomesBetween(c.began, end))
			if c.gapLimit > 0 {
				c.reach("gap", r.Gap, c.gapLimit)
				c.reach("by plain HTTP", r.Plain, c.gapLimit)
			}
		}
		for _, a := range c.aims {
			t.Log(a)
			if a.Hopeless() {
				t.Errorf("%s: that is over %d times the aim", a, report.Tolerance)
			}
		}
		told = true
	})
	if !passed {
		r.Result = "FAILED"
	}
	s.steps = append(s.steps, r)
	fmt.Println(r)
}

// publish prints and saves the table.
func (s *scenario) publish() {
	table := report.Table(s.steps)
	fmt.Print("\n", table, "\n")
	text := fmt.Sprintf("# End to end, %s\n\n%s", time.Now().UTC().Format(time.RFC3339), table)
	save(s.t, "report.md", []byte(text))
}
