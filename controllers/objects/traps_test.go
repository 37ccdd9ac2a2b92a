package objects_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

// The golden files are snapshots; these tests check requirements, whatever the golden files contain.

func TestKubernetesReplacesAndDeletesNothingByItself(t *testing.T) { // O8, O12, O13, O14, O15
	t.Parallel()
	for _, name := range []string{"default", "full"} {
		for _, deleted := range []v1alpha1.RetentionType{v1alpha1.RetainVolumes, v1alpha1.DeleteVolumes} {
			d := desired(t, name)
			d.Cluster.Spec.Storage.RetentionPolicy.WhenDeleted = deleted
			spec := objects.StatefulSet(d).Spec
			retention := spec.PersistentVolumeClaimRetentionPolicy
			if *retention.WhenScaled != "Retain" || string(*retention.WhenDeleted) != string(deleted) {
				t.Errorf("volumes: whenScaled %s, whenDeleted %s, want Retain and %s", *retention.WhenScaled,
					*retention.WhenDeleted, deleted)
			}
			if *spec.PodManagementPolicy != "Parallel" || *spec.UpdateStrategy.Type != "OnDelete" {
				t.Errorf("pods are made %s and replaced %s", *spec.PodManagementPolicy, *spec.UpdateStrategy.Type)
			}
		}
	}
}

func TestClaimTemplateFollowsFromTheStorageAlone(t *testing.T) { // O11: it is immutable
	t.Parallel()
	before := desired(t, "default")
	want := objects.StatefulSet(before).Spec.VolumeClaimTemplates
	after := desired(t, "full")
	after.Cluster.Name, after.Cluster.Spec.Storage = before.Cluster.Name, before.Cluster.Spec.Storage
	after.ClusterDomain, after.Image = "else.example", "other/image:2"
	if diff := cmp.Diff(want, objects.StatefulSet(after).Spec.VolumeClaimTemplates); diff != "" {
		t.Errorf("the claim template differs, though the storage does not:\n%s", diff)
	}
}

func TestOnlyPeersAndTheDashboardReachNodesThatAreNotReady(t *testing.T) { // O20, O21, O22
	t.Parallel()
	d := desired(t, "default")
	peers, page, clients := objects.PeerService(d).Spec, objects.DashboardService(d).Spec, objects.ClientService(d).Spec
	if p := peers.PublishNotReadyAddresses; p == nil || !*p || *peers.ClusterIP != corev1.ClusterIPNone {
		t.Error("the peers do not find a node that is not ready")
	}
	if p := page.PublishNotReadyAddresses; p == nil || !*p {
		t.Error("the page cannot be had when no node is ready, and then it is wanted most")
	}
	if p := clients.PublishNotReadyAddresses; p != nil && *p {
		t.Error("programs are led to nodes that do not serve")
	}
}

func TestStoppingIsLeftToTheProcess(t *testing.T) { // O24, O25
	t.Parallel()
	for _, name := range []string{"default", "full"} {
		spec := objects.StatefulSet(desired(t, name)).Spec.Template.Spec
		for i := range spec.Containers {
			if spec.Containers[i].Lifecycle != nil {
				t.Errorf("%s: a hook runs in container %s", name, *spec.Containers[i].Name)
			}
		}
		if *spec.TerminationGracePeriodSeconds < 10 {
			t.Errorf("%s: the process has %d s to stop", name, *spec.TerminationGracePeriodSeconds)
		}
	}
}

func TestNodeListensOnEveryAddress(t *testing.T) { // O26
	t.Parallel()
	args := objects.StatefulSet(desired(t, "default")).Spec.Template.Spec.Containers[0].Args
	for _, flag := range []string{"--listen-api", "--listen-peer"} {
		i := slices.Index(args, flag)
		if i < 0 || !strings.HasPrefix(args[i+1], ":") {
			t.Errorf("%s is not for every address: %v", flag, args)
		}
	}
}

func TestNoLimitOnTheCPUIsAdded(t *testing.T) { // O27
	t.Parallel()
	d := desired(t, "default")
	resources := objects.StatefulSet(d).Spec.Template.Spec.Containers[0].Resources
	if resources.Limits != nil && !(*resources.Limits).Cpu().IsZero() {
		t.Errorf("the limits are %v", *resources.Limits)
	}
	if resources.Requests == nil || (*resources.Requests).Cpu().IsZero() || (*resources.Requests).Memory().IsZero() {
		t.Error("nothing is requested by default")
	}
}

func TestVolumeBelongsToTheProcess(t *testing.T) { // O28
	t.Parallel()
	spec := objects.StatefulSet(desired(t, "default")).Spec.Template.Spec
	pod := spec.SecurityContext
	if *pod.FSGroup != *pod.RunAsGroup || *pod.RunAsUser == 0 || !*pod.RunAsNonRoot ||
		*pod.FSGroupChangePolicy != corev1.FSGroupChangeOnRootMismatch {
		t.Errorf("the volume's group is %d, the process runs as %d:%d", *pod.FSGroup, *pod.RunAsUser, *pod.RunAsGroup)
	}
	args, mounts := spec.Containers[0].Args, spec.Containers[0].VolumeMounts
	i := slices.Index(args, "--data-dir")
	if i < 0 || !strings.HasPrefix(args[i+1], *mounts[0].MountPath+"/") {
		t.Errorf("the data lies in the root of the volume, which the process did not make: %v", args)
	}
}
