package objects

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
)

// revisions is how many old pod templates Kubernetes keeps. The operator never returns to one; two show users what
// changed.
const revisions = 2

// StatefulSet keeps a pod and a volume for each node. It starts pods in any order, because a node needs the others to
// become ready (trap O13), and replaces none by itself: the operator chooses one that the quorum can spare (traps
// O14, O15). It never deletes a volume when it shrinks: a wrong number of replicas would lose the data (trap O8).
//
// Only the spec, the recorded image and template revision, and the DNS domain determine the pod template: a new
// operator that made another template of the same spec would restart every cluster.
func StatefulSet(d Desired) *appsac.StatefulSetApplyConfiguration {
	c := d.Cluster
	return appsac.StatefulSet(StatefulSetName(c.Name), c.Namespace).
		WithLabels(Labels(c.Name)).
		WithAnnotations(map[string]string{AnnotationTemplate: strconv.Itoa(int(max(d.Template, 1)))}).
		WithOwnerReferences(owner(c)).
		WithSpec(appsac.StatefulSetSpec().
			WithReplicas(d.Replicas).
			WithServiceName(PeerServiceName(c.Name)).
			WithSelector(metaac.LabelSelector().WithMatchLabels(Selector(c.Name))).
			WithPodManagementPolicy(appsv1.ParallelPodManagement).
			WithUpdateStrategy(appsac.StatefulSetUpdateStrategy().WithType(appsv1.OnDeleteStatefulSetStrategyType)).
			WithPersistentVolumeClaimRetentionPolicy(appsac.StatefulSetPersistentVolumeClaimRetentionPolicy().
				WithWhenScaled(appsv1.RetainPersistentVolumeClaimRetentionPolicyType).
				WithWhenDeleted(appsv1.PersistentVolumeClaimRetentionPolicyType(c.Spec.Storage.RetentionPolicy.WhenDeleted))).
			WithRevisionHistoryLimit(revisions).
			WithTemplate(podTemplate(d)).
			WithVolumeClaimTemplates(claimTemplate(d)))
}

// claimTemplate describes each node's volume. It is immutable in an existing StatefulSet: a release that describes it
// differently cannot be applied to any cluster of an older one (trap O11).
func claimTemplate(d Desired) *coreac.PersistentVolumeClaimApplyConfiguration {
	storage := d.Cluster.Spec.Storage
	spec := coreac.PersistentVolumeClaimSpec().
		WithAccessModes(storage.AccessMode).
		WithResources(coreac.VolumeResourceRequirements().
			WithRequests(corev1.ResourceList{corev1.ResourceStorage: storage.Size}))
	spec.StorageClassName = storage.StorageClassName // nil: the default class; "": no class
	return (&coreac.PersistentVolumeClaimApplyConfiguration{}).
		WithName(volumeData).
		WithLabels(Labels(d.Cluster.Name)).
		WithSpec(spec)
}
