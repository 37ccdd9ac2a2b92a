package decide_test

import (
	"fmt"
	"slices"
	"testing"

	coreac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

// newFlag is a flag that the operator's next release adds to the pods. Older images exit because they do not have it.
func newFlag(_ objects.Desired, template *coreac.PodTemplateSpecApplyConfiguration) {
	template.Spec.Containers[0].WithArgs("--new-flag")
}

// hasNewFlag reports whether the pods have the new flag.
func (m *model) hasNewFlag() bool {
	return slices.Contains(m.set.Spec.Template.Spec.Containers[0].Args, "--new-flag")
}

// settle runs passes until nothing is left to do.
func (m *model) settle() {
	m.t.Helper()
	m.until("nothing is left to do", func() bool {
		return m.isReady() && len(m.plans) > 0 && m.plans[len(m.plans)-1].Act == nil
	})
}

// idle fails if anything is planned during the next passes.
func (m *model) idle(what string) {
	m.t.Helper()
	revision := m.revision()
	for range 10 {
		if act := m.step().Act; act != nil || m.revision() != revision || !m.isReady() {
			m.t.Fatalf("%s: the plan is %v, the template changed: %t", what, act, m.revision() != revision)
		}
	}
}

func TestTemplateOfTheNextReleaseComesWithAnImage(t *testing.T) { // an upgrade of the operator restarts no cluster
	t.Parallel()
	m := started(t, 3)
	m.templates = objects.Templates{newFlag}
	m.idle("the operator was upgraded")
	m.roll("kontiki:2")
	if !m.hasNewFlag() {
		t.Error("the new image is not run with the new template")
	}
	m.roll("kontiki:1")
	if m.hasNewFlag() {
		t.Error("the old image is run with the flag that it does not have")
	}
	m.roll("kontiki:2")
	want := []v1alpha1.TemplateStatus{{Image: "kontiki:1", Revision: 1}, {Image: "kontiki:2", Revision: 2}}
	if !slices.Equal(m.cluster.Status.Templates, want) {
		t.Errorf("the status remembers %v, want %v", m.cluster.Status.Templates, want)
	}
}

func TestTemplateOfAClusterFromBeforeTheLatchIsTheFirst(t *testing.T) {
	t.Parallel()
	m := started(t, 3)
	m.cluster.Status.Templates = nil
	delete(m.set.Annotations, objects.AnnotationTemplate)
	m.templates = objects.Templates{newFlag}
	m.idle("the operator was upgraded")
}

func TestTemplateOutlivesTheStatus(t *testing.T) { // the StatefulSet records it, too
	t.Parallel()
	m := newModel(t, 3)
	m.templates = objects.Templates{newFlag}
	m.until("ready", m.isReady)
	if !m.hasNewFlag() {
		t.Fatal("a new cluster does not begin with the newest template")
	}
	m.settle()
	m.cluster.Status = v1alpha1.RaftClusterStatus{}
	m.templates = objects.Templates{newFlag, func(d objects.Desired, p *coreac.PodTemplateSpecApplyConfiguration) {
		p.Spec.Containers[0].WithArgs("--newer")
	}}
	m.step()
	m.idle("the status was wiped while the operator was upgraded")
}

func TestPausedClusterIsGivenItsTemplateWhenItGoesOn(t *testing.T) {
	t.Parallel()
	m := started(t, 3)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Paused, s.Image = true, "kontiki:2" })
	m.step()
	m.templates = objects.Templates{newFlag}
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Paused = false })
	m.until("rolled", func() bool { return m.isReady() && m.rolledTo("kontiki:2") })
	if !m.hasNewFlag() {
		t.Error("the image came after the template, and runs without it")
	}
}

func TestOperatorThatIsTooOldLeavesTheTemplateAlone(t *testing.T) { // after a downgrade
	t.Parallel()
	m := newModel(t, 3)
	m.templates = objects.Templates{newFlag}
	m.until("ready", m.isReady)
	m.settle()
	m.templates = nil
	revision := m.revision()
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Pod.Annotations = map[string]string{"a": "b"} })
	for range 10 {
		if plan := m.step(); plan.Desired != nil || plan.Act != nil {
			t.Fatalf("the plan is %v, and objects are applied: %t", plan.Act, plan.Desired != nil)
		}
	}
	c := m.condition(v1alpha1.ConditionDegraded)
	if c.Reason != v1alpha1.ReasonOperatorTooOld || m.isReady() || m.revision() != revision {
		t.Errorf("Degraded is %s: %s; ready: %t", c.Reason, c.Message, m.isReady())
	}
	m.templates = objects.Templates{newFlag}
	m.until("the upgraded operator goes on", func() bool { return m.isReady() && m.revision() != revision })
}

func TestStatusRemembersTheTemplatesOfAFewImages(t *testing.T) { // the CRD allows 16
	t.Parallel()
	m := started(t, 1)
	for i := range 40 {
		m.roll(fmt.Sprintf("kontiki:2.%d", i))
	}
	if n := len(m.cluster.Status.Templates); n != 16 || m.cluster.Status.Templates[n-1].Image != "kontiki:2.39" {
		t.Errorf("%d are remembered, the last is %v", n, m.cluster.Status.Templates[n-1])
	}
}

func TestTemplateThatAPersonWroteIntoTheStatusIsNoTrouble(t *testing.T) {
	t.Parallel()
	for _, revision := range []int32{-1 << 31, -1, 0, 2, 1<<31 - 1} {
		m := started(t, 3)
		m.cluster.Status.Templates = []v1alpha1.TemplateStatus{{Image: "kontiki:1", Revision: revision}}
		if plan := decide.Next(m.world()); (plan.Desired != nil) != (revision < 2) || plan.Act != nil {
			t.Errorf("revision %d: the plan is %v", revision, plan.Act)
		}
	}
}
