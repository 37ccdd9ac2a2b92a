package controllers

import (
	"fmt"
	"testing"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// TestCrashBetweenAnyTwoWritesChangesNothingInTheEnd makes a cluster of three and rolls it, with an operator whose
// process ends at its k-th write, for every k: before the write, or after it and before the answer. Another operator
// takes over from what is there. It must come to the same end, and never do on its way what must not be done.
func TestCrashBetweenAnyTwoWritesChangesNothingInTheEnd(t *testing.T) { // O3, O29, O32
	t.Parallel()
	undisturbed := &faults{at: 1 << 30}
	want := foundAndRoll(newStage(t), undisturbed)
	t.Logf("undisturbed it takes %d writes, and ends as:\n%s", undisturbed.writes, want)
	if undisturbed.writes < 15 {
		t.Fatalf("only %d writes were counted; some do not go through the faults", undisturbed.writes)
	}
	for k := range undisturbed.writes {
		for _, lost := range []bool{false, true} {
			if lost && k == 0 || testing.Short() && k%5 != 0 {
				continue
			}
			t.Run(fmt.Sprintf("%d,answer-lost=%t", k, lost), func(t *testing.T) {
				t.Parallel()
				if got := foundAndRoll(newStage(t), &faults{at: k, lost: lost}); got != want {
					t.Errorf("after a crash at write %d the cluster ends as:\n%s\nand not as:\n%s", k, got, want)
				}
			})
		}
	}
}

// foundAndRoll makes a cluster, rolls it, and tells how it ended. The first operator has the faults; when they strike,
// the next one takes over.
func foundAndRoll(s *stage, f *faults) string {
	s.Helper()
	o := hire(s, f)
	s.apply("demo", nil)
	o = s.workUntil(o, f, "ready", isReady)
	s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Image = "kontiki/raftnode:1.1.0" })
	s.workUntil(o, f, "every pod runs the new image", func(c *v1alpha1.RaftCluster) bool {
		return isReady(c) && s.runs(c, "kontiki/raftnode:1.1.0")
	})
	c := s.cluster("demo")
	clusters := map[string]bool{}
	for _, disk := range s.disks {
		clusters[disk.clusterID] = true
	}
	end := fmt.Sprintf("%d cluster(s) on the disks, the status's among them: %t\n", len(clusters),
		clusters[c.Status.ClusterID])
	for _, m := range c.Status.Members {
		end += fmt.Sprintf("%s is member %d, %s, and was made %d times\n", m.PodName, m.MemberID, m.Health,
			len(s.pods[m.PodName]))
	}
	return end
}

// workUntil makes passes until something holds. When the operator's process has ended, another one goes on.
func (s *stage) workUntil(o *operator, f *faults, what string, holds func(*v1alpha1.RaftCluster) bool) *operator {
	s.Helper()
	for range 80 {
		_ = o.pass("demo") // the end is what counts
		if f.struck() && o.faulty {
			o = hire(s, nil)
		}
		s.step()
		s.checkFaults()
		if away := 3 - s.countPods(ready); s.founded && away > 1 {
			s.Fatalf("%d pods are away at the same time", away)
		}
		if c := s.cluster("demo"); holds(c) {
			s.founded = true
			return o
		}
	}
	s.Fatalf("never %s:\n%s", what, describe(s.cluster("demo")))
	return nil
}
