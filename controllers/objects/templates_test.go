package objects_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

// withFlag is an amendment that adds one flag to the nodes.
func withFlag(flag string) objects.Amendment {
	return func(_ objects.Desired, template *coreac.PodTemplateSpecApplyConfiguration) {
		template.Spec.Containers[0].WithArgs(flag)
	}
}

func TestEachTemplateRevisionAddsToTheOneBefore(t *testing.T) {
	t.Parallel()
	d := desired(t, "default")
	first := templateOf(t, objects.StatefulSet(d))
	d.Templates = append(objects.ReleasedTemplates(), withFlag("--new"), withFlag("--newer"))
	for revision, flags := range map[int32][]string{0: nil, 1: nil, 2: {"--new"}, 3: {"--new", "--newer"}} {
		d.Template = revision
		set := objects.StatefulSet(d)
		args := set.Spec.Template.Spec.Containers[0].Args
		if got := args[len(args)-2:]; len(flags) > 0 && !slices.Equal(got[2-len(flags):], flags) {
			t.Errorf("revision %d: the arguments end with %v, want %v", revision, got, flags)
		}
		if len(flags) == 0 && templateOf(t, set) != first {
			t.Errorf("revision %d is not as it was before there was another:\n%s", revision,
				cmp.Diff(first, templateOf(t, set)))
		}
		live := &appsv1.StatefulSet{}
		live.Annotations = set.Annotations
		if got := objects.TemplateOf(live); got != max(revision, 1) {
			t.Errorf("a StatefulSet of revision %d reports revision %d", revision, got)
		}
	}
	if newest := d.Templates.Newest(); newest != 3 {
		t.Errorf("the newest of three revisions is %d", newest)
	}
}

func TestStatefulSetWithoutATemplateRevisionHasTheFirst(t *testing.T) {
	t.Parallel()
	for _, annotation := range []string{"", "x", "-3", "0", "99999999999999999999"} {
		set := &appsv1.StatefulSet{}
		set.Annotations = map[string]string{objects.AnnotationTemplate: annotation}
		if got := objects.TemplateOf(set); got != 1 {
			t.Errorf("%q is revision %d, want 1", annotation, got)
		}
	}
}

func TestPlatformMayAssignTheUser(t *testing.T) { // OpenShift refuses pods that name a user outside of its range
	t.Parallel()
	d := desired(t, "full")
	d.Cluster.Spec.Pod.UserAssignment = v1alpha1.UserFromPlatform
	spec := objects.StatefulSet(d).Spec.Template.Spec
	pod, container := spec.SecurityContext, spec.Containers[0].SecurityContext
	if pod.RunAsUser != nil || pod.RunAsGroup != nil || pod.FSGroup != nil || container.RunAsUser != nil {
		t.Errorf("the pods name a user or group: %+v", *pod)
	}
	if !*pod.RunAsNonRoot || *pod.SeccompProfile.Type != "RuntimeDefault" || *container.AllowPrivilegeEscalation ||
		!*container.ReadOnlyRootFilesystem || !slices.Contains(container.Capabilities.Drop, "ALL") {
		t.Errorf("the pods may do more than before: %+v, %+v", *pod, *container)
	}
	fixed := objects.StatefulSet(desired(t, "full"))
	d.Cluster.Spec.Pod.UserAssignment = v1alpha1.UserFixed
	if templateOf(t, objects.StatefulSet(d)) != templateOf(t, fixed) {
		t.Error("Fixed is not what pods have without it")
	}
}

func TestOnlyTheStatefulSetNeedsAnotherObject(t *testing.T) { // O20
	t.Parallel()
	before := []objects.Ref{}
	for _, object := range objects.All(desired(t, "default")) {
		for _, ref := range object.Needs {
			if !slices.Contains(before, ref) {
				t.Errorf("%s needs %s, which does not come before it", object, ref)
			}
		}
		if want := object.Kind == "StatefulSet"; (len(object.Needs) == 1 && object.Needs[0].Name == "demo-peers") != want {
			t.Errorf("%s needs %v", object, object.Needs)
		}
		before = append(before, object.Ref)
	}
}
