package controllers

import (
	"fmt"
	"testing"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/decide"
)

func TestCrashBetweenAnyTwoWritesFoundsTheSameCluster(t *testing.T) { // O3, O29, O32
	t.Parallel()
	undisturbed := &faults{at: never}
	s := newStage(t)
	s.apply("demo", nil)
	s.workUntil(undisturbed, "ready", isReady)
	want := s.end()
	t.Logf("undisturbed it takes %d writes, and ends as:\n%s", undisturbed.writes, want)
	if undisturbed.writes < 12 {
		t.Fatalf("only %d writes were counted; some do not go through the faults", undisturbed.writes)
	}
	for k := range undisturbed.writes {
		for _, f := range []*faults{{at: k}, {at: k + 1, lost: true}} {
			t.Run(f.String(), func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				s.apply("demo", nil)
				s.workUntil(f, "ready", isReady)
				if got := s.end(); got != want {
					t.Errorf("the cluster ends as:\n%s\nand not as:\n%s", got, want)
				}
			})
		}
	}
}

func TestCrashBetweenAnyTwoWritesRollsEveryPodOnce(t *testing.T) { // O15, O29, O32
	t.Parallel()
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprintf("lost=%t", lost), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.apply("demo", nil)
			s.workUntil(&faults{at: never}, "ready", isReady)
			s.founded = true
			undisturbed := &faults{at: never}
			s.rollOnce(undisturbed)
			if undisturbed.writes < 6 {
				t.Fatalf("only %d writes were counted; some do not go through the faults", undisturbed.writes)
			}
			for k := range undisturbed.writes {
				s.rollOnce(&faults{at: k, lost: lost})
			}
		})
	}
}

// rollOnce rolls to the next image, at first by an operator that has the faults.
func (s *stage) rollOnce(f *faults) {
	s.Helper()
	made := len(s.pods["demo-0"])
	image := fmt.Sprintf("kontiki/raftnode:1.%d.0", made)
	s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Image = image })
	s.workUntil(f, "every pod runs "+image, func(c *v1alpha1.RaftCluster) bool { return isReady(c) && s.runs(c, image) })
	for name, uids := range s.pods {
		if len(uids) != made+1 {
			s.Fatalf("%s: %s was created %d times in %d rolls; each replaces every pod once", f, name, len(uids)-1, made)
		}
	}
}

// end describes the final state of a cluster.
func (s *stage) end() string {
	s.Helper()
	c := s.cluster("demo")
	clusters := map[string]bool{}
	for _, disk := range s.disks {
		clusters[disk.clusterID] = true
	}
	end := fmt.Sprintf("%d cluster(s) on the disks, the status's among them: %t\n", len(clusters),
		clusters[c.Status.ClusterID])
	for _, m := range c.Status.Members {
		end += fmt.Sprintf("%s is member %d, %s, and was created %d times\n", m.PodName, m.MemberID, m.Health,
			len(s.pods[m.PodName]))
	}
	return end
}

// workUntil runs passes until a condition holds, at first by an operator with the faults.
func (s *stage) workUntil(f *faults, what string, holds func(*v1alpha1.RaftCluster) bool) {
	s.Helper()
	o := newOperator(s, f)
	for range 80 {
		_ = o.pass("demo") // only the end counts
		if f.ended() {
			f = &faults{at: never}
			o = newOperator(s, f)
		}
		s.step()
		s.checkFaults()
		if away := 3 - s.countPods(decide.Ready); s.founded && away > 1 {
			s.Fatalf("%d pods are away at the same time", away)
		}
		if holds(s.cluster("demo")) {
			return
		}
	}
	s.Fatalf("never %s:\n%s", what, describe(s.cluster("demo")))
}
