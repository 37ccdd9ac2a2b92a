package controllers

import (
	"fmt"
	"math"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/node/api"
)

func TestNodeThatLiesDoesNotKeepTheStatusFromBeingWritten(t *testing.T) { // O5
	t.Parallel()
	long := strings.Repeat("ä\x00", 20_000)
	for name, lie := range map[string]func(v *api.ClusterView){
		"with long texts": func(v *api.ClusterView) { v.Version, v.Role, v.ClusterID = long, long, long },
		"about its state": func(v *api.ClusterView) { v.State = api.LifeCycle(long) },
		"with huge numbers": func(v *api.ClusterView) {
			v.Term, v.NodeID, v.LeaderID, v.CommitIndex = math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64
		},
		"about the members": func(v *api.ClusterView) {
			v.Config.Members = append(v.Config.Members, v.Config.Members...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			o := newOperator(s, nil)
			s.apply("demo", nil)
			o.until("demo", "ready", isReady)
			o.settle("demo")
			pod := &corev1.Pod{}
			leader := s.cluster("demo").Status.Leader.MemberID
			s.get(fmt.Sprintf("demo-%d", leader%3), pod) // the next one
			s.net.lie(pod.Status.PodIP, lie)
			c := o.until("demo", "the member is unhealthy", func(c *v1alpha1.RaftCluster) bool {
				return len(c.Status.Members) == 3 && c.Status.Members[leader%3].Health != v1alpha1.HealthHealthy
			})
			if c.Status.ReadyReplicas != 2 || c.Status.Leader == nil {
				t.Errorf("the others are healthy, but the status is\n%s", describe(c))
			}
			before := o.writes.Load()
			for range 3 {
				s.must(o.pass("demo"))
			}
			if n := o.writes.Load() - before; n > 0 {
				t.Errorf("the same false view was written %d times", n)
			}
			s.net.lie(pod.Status.PodIP, nil)
			o.until("demo", "ready again", isReady)
		})
	}
}

func TestMarkOfNonsenseOnANewClusterIsSaid(t *testing.T) { // O4, O5
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	s.must(s.kube.Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name: "data-demo-1", Namespace: s.space,
			Annotations: map[string]string{v1alpha1.AnnotationClusterID: strings.Repeat("x", 1<<17)},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			},
		},
	}))
	s.apply("demo", nil)
	o.until("demo", "it waits, and reports for what", func(c *v1alpha1.RaftCluster) bool {
		for _, condition := range c.Status.Conditions {
			if condition.Type == v1alpha1.ConditionBootstrapped {
				return strings.Contains(condition.Message, "the volumes hold cluster xxx")
			}
		}
		return false
	})
}
