package objects

import (
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
	policyac "k8s.io/client-go/applyconfigurations/policy/v1"
)

// DisruptionBudget allows drains to evict pods only while the others are a majority. It sets minAvailable, because
// maxUnavailable is relative to the number of pods that exist. An unhealthy pod may be evicted only while the others
// are healthy, because its disk still counts for the quorum (trap O34).
func DisruptionBudget(d Desired) *policyac.PodDisruptionBudgetApplyConfiguration {
	return policyac.PodDisruptionBudget(DisruptionBudgetName(d.Cluster.Name), d.Cluster.Namespace).
		WithLabels(Labels(d.Cluster.Name)).
		WithOwnerReferences(owner(d.Cluster)).
		WithSpec(policyac.PodDisruptionBudgetSpec().
			WithMinAvailable(intstr.FromInt32(d.Quorum)).
			WithUnhealthyPodEvictionPolicy(policyv1.IfHealthyBudget).
			WithSelector(metaac.LabelSelector().WithMatchLabels(Selector(d.Cluster.Name))))
}

// hasBudget reports whether there is to be a budget. One node alone has none: it would forbid every drain for good.
func hasBudget(d Desired) bool { return d.Quorum > 1 }
