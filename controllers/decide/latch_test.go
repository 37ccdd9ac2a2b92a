package decide_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	corev1 "k8s.io/api/core/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

// staysOn runs passes during which no pod may leave an image.
func (m *model) staysOn(image string, passes int) {
	m.t.Helper()
	for range passes {
		if plan := m.step(); plan.Act != nil {
			if _, labels := plan.Act.(decide.LabelPod); !labels {
				m.t.Fatalf("nothing asks for another image than %s, and the plan is %v", image, plan.Act)
			}
		}
	}
	if !m.rolledTo(image) || !m.isReady() {
		m.t.Errorf("the cluster should be ready on %s, and the StatefulSet has %s", image,
			m.set.Spec.Template.Spec.Containers[0].Image)
	}
}

func TestImageThatIsTakenOutOfTheSpecIsKept(t *testing.T) {
	t.Parallel()
	for name, disturb := range map[string]func(m *model){
		"all are healthy":     func(*model) {},
		"one does not answer": func(m *model) { m.silent[1] = true },
		"one is being moved":  func(m *model) { m.kill(1) },
		"the operator ended before it saw the last one come back": func(m *model) {
			m.cluster.Status.Image = "kontiki:1"
		},
		"the operator is a newer one": func(m *model) { m.nodeImage = "kontiki:9" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := started(t, 3)
			m.roll("kontiki:2")
			m.step()
			disturb(m)
			m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "" })
			m.step()
			m.silent[1] = false
			m.until("ready", m.isReady)
			m.staysOn("kontiki:2", 20)
			if image := m.cluster.Status.Image; image != "kontiki:2" {
				t.Errorf("the nodes run kontiki:2, but status.image is %s", image)
			}
		})
	}
}

func TestUpdateThatDidNotWorkIsUndoneByTakingItOutOfTheSpec(t *testing.T) { // O14
	t.Parallel()
	m := started(t, 3)
	m.roll("kontiki:2")
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:bad" })
	for range 20 {
		m.step()
	}
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "" })
	m.until("ready on the last image that worked", func() bool { return m.isReady() && m.rolledTo("kontiki:2") })
}

func TestLostStatusUpgradesNoPod(t *testing.T) { // O4
	t.Parallel()
	for name, lose := range map[string]func(m *model){
		"the status": func(m *model) { m.cluster.Status = v1alpha1.RaftClusterStatus{} },
		"the status, and the nodes are silent": func(m *model) {
			m.cluster.Status = v1alpha1.RaftClusterStatus{}
			m.silent[0], m.silent[1], m.silent[2] = true, true, true
		},
		"the status and the StatefulSet, and the pods are left": func(m *model) {
			m.cluster.Status, m.set = v1alpha1.RaftClusterStatus{}, nil
			for _, pod := range m.pods {
				pod.owner = ""
			}
		},
		"the status, while an update does not work": func(m *model) {
			m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:bad" })
			for range 20 {
				m.step()
			}
			m.cluster.Status = v1alpha1.RaftClusterStatus{}
			m.step()
			m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "" })
			m.until("undone", func() bool { return m.isReady() && m.rolledTo("kontiki:1") })
		},
		"the image in the status": func(m *model) { m.cluster.Status.Image = "" },
		"the RaftCluster, and its objects are left": func(m *model) {
			m.create(3)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := started(t, 3)
			m.step()
			m.nodeImage = "kontiki:2" // the operator was upgraded in the meantime
			lose(m)
			m.step()
			m.silent = map[int32]bool{}
			m.until("ready", m.isReady)
			m.staysOn("kontiki:1", 20)
			if image := m.cluster.Status.Image; image != "kontiki:1" {
				t.Errorf("the nodes run kontiki:1, and status.image is %s", image)
			}
		})
	}
}

// others are the objects of the model other than its StatefulSet, as the last pass that was not paused applied them.
func (m *model) others() map[string]metav1.Object {
	found := map[string]metav1.Object{}
	for i := len(m.plans) - 1; i >= 0; i-- {
		if desired := m.plans[i].Desired; desired != nil {
			for _, o := range objects.All(*desired) {
				if o.Kind != "StatefulSet" {
					found[o.Ref.String()] = objectOf(m.t, o)
				}
			}
			break
		}
	}
	return found
}

func TestPausedClusterIsReadyOnlyIfNoChangeWaits(t *testing.T) {
	t.Parallel()
	some := map[string]string{"a": "b"}
	for name, change := range map[string]func(s *v1alpha1.RaftClusterSpec){
		"the image":                      func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" },
		"the annotations of the pods":    func(s *v1alpha1.RaftClusterSpec) { s.Pod.Annotations = some },
		"the port of a Service":          func(s *v1alpha1.RaftClusterSpec) { s.ClientService.Port = 80 },
		"the type of the dashboard's":    func(s *v1alpha1.RaftClusterSpec) { s.Dashboard.Type = corev1.ServiceTypeNodePort },
		"the dashboard is disabled":      func(s *v1alpha1.RaftClusterSpec) { s.Dashboard.Mode = v1alpha1.DashboardDisabled },
		"annotations of the dashboard's": func(s *v1alpha1.RaftClusterSpec) { s.Dashboard.Annotations = some },
		"nothing":                        nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := started(t, 3)
			m.edit(func(s *v1alpha1.RaftClusterSpec) {
				s.Paused = true
				if change != nil {
					change(s)
				}
			})
			m.step()
			m.step()
			ready, paused := m.condition(v1alpha1.ConditionReady), m.condition(v1alpha1.ConditionPaused)
			if change == nil {
				if ready.Status != metav1.ConditionTrue || strings.Contains(paused.Message, "changes") {
					t.Errorf("nothing waits, and Ready is %s: %s; Paused is %q", ready.Status, ready.Message, paused.Message)
				}
				return
			}
			if ready.Status != metav1.ConditionFalse || ready.Reason != v1alpha1.ReasonPaused ||
				!strings.Contains(paused.Message, "wait until") {
				t.Errorf("a change waits, and Ready is %s/%s; Paused is %q", ready.Status, ready.Reason, paused.Message)
			}
			if c := m.condition(v1alpha1.ConditionAvailable); c.Status != metav1.ConditionTrue {
				t.Errorf("Available is %s: %s", c.Status, c.Message)
			}
			m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Paused = false })
			m.until("ready", m.isReady)
		})
	}
}

func TestTransferIsForTheTermThatWasSeen(t *testing.T) { // O29
	t.Parallel()
	m := started(t, 3)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
	for range 60 {
		if act, ok := m.step().Act.(decide.TransferLeadership); ok {
			if act.Term == 0 || act.Term != m.term-1 { // the transfer caused the next one
				t.Errorf("in term %d the plan is a transfer in term %d", m.term-1, act.Term)
			}
			return
		}
	}
	t.Error("no transfer was planned")
}
