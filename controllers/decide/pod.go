package decide

import (
	"cmp"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kontiki-dev/kontiki/controllers/objects"
)

// nodeStatus returns the kubelet's status of the node's container, or nil. The pod may have other containers, for
// instance of a service mesh.
func nodeStatus(pod *corev1.Pod) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == objects.ContainerNode {
			return &pod.Status.ContainerStatuses[i]
		}
	}
	return nil
}

// Running reports whether the node's container is running, by the kubelet's last report. If it is not, the node cannot
// vote.
func Running(pod *corev1.Pod) bool {
	s := nodeStatus(pod)
	return s != nil && s.State.Running != nil
}

// started reports whether the node has passed its startup probe.
func started(pod *corev1.Pod) bool {
	s := nodeStatus(pod)
	return s != nil && s.Started != nil && *s.Started
}

// crashed describes a node whose container has ended and is started again; "" if it has not. Until the new container
// has passed its startup probe, the description stays the same, or each round of a crash loop would change the status
// (trap O30).
func crashed(pod *corev1.Pod) string {
	s := nodeStatus(pod)
	if s == nil || started(pod) {
		return ""
	}
	ended := cmp.Or(s.State.Terminated, s.LastTerminationState.Terminated)
	if ended == nil {
		return ""
	}
	return fmt.Sprintf("its container ended with exit code %d and is started again; see its log", ended.ExitCode)
}

// Ready reports whether the node passes its readiness probe.
func Ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// SameProcess reports whether two observations of a pod show the same run of the node at the same address.
func SameProcess(a, b *corev1.Pod) bool {
	return a.UID == b.UID && a.Status.PodIP == b.Status.PodIP && containerID(a) == containerID(b)
}

func containerID(pod *corev1.Pod) string {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == objects.ContainerNode {
			return pod.Status.ContainerStatuses[i].ContainerID
		}
	}
	return ""
}

// stuck explains why a pod that does not run will probably not run by itself, or returns "". The text leaves out what
// changes from try to try, so that the status stays the same while the fault does (trap O30).
func stuck(pod *corev1.Pod) string {
	if why := crashed(pod); why != "" {
		return why
	}
	if status := nodeStatus(pod); status != nil && status.State.Waiting != nil {
		if why := stuckContainer(status); why != "" {
			return why
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "its pod cannot be scheduled: " + shortened(c.Message)
		}
	}
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return "its pod has ended: " + pod.Status.Reason
	}
	return ""
}

func stuckContainer(s *corev1.ContainerStatus) string {
	switch waiting := s.State.Waiting; waiting.Reason {
	case "", "ContainerCreating", "PodInitializing":
		return ""
	case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "RegistryUnavailable":
		return fmt.Sprintf("its image %s cannot be pulled", s.Image)
	case "CreateContainerConfigError":
		return "its container does not start: " + shortened(waiting.Message)
	default: // the container runtime's message names the container, which is a new one in each try
		return fmt.Sprintf("its container does not start: %s; see kubectl describe pod", waiting.Reason)
	}
}

// shortened cuts a message to a length that suits a condition.
func shortened(message string) string { return cut(message, 200) }

// bounded cuts a message to the maximum length of a condition. The API server refuses a status with a message of more
// than 32768 bytes; people need fewer than 4096.
func bounded(message string) string { return cut(message, 4096) }

func cut(message string, most int) string {
	if len(message) <= most {
		return message
	}
	return strings.ToValidUTF8(message[:most], "") + "..."
}

// outdated reports whether a pod was made from another template than the StatefulSet's newest. Under OnDelete, the
// StatefulSet's currentRevision has no meaning (trap O16).
func outdated(set *appsv1.StatefulSet, pod *corev1.Pod) bool {
	return set != nil && pod != nil && set.Status.UpdateRevision != "" &&
		pod.Labels[appsv1.ControllerRevisionHashLabelKey] != set.Status.UpdateRevision
}

// imageOf returns the image of a pod's node container, or "" if there is none.
func imageOf(pod *corev1.Pod) string {
	if pod == nil {
		return ""
	}
	return containerImage(&pod.Spec)
}

// setImage returns the image of a StatefulSet's template, or "".
func setImage(set *appsv1.StatefulSet) string {
	if set == nil {
		return ""
	}
	return containerImage(&set.Spec.Template.Spec)
}

func containerImage(spec *corev1.PodSpec) string {
	for i := range spec.Containers {
		if spec.Containers[i].Name == objects.ContainerNode {
			return spec.Containers[i].Image
		}
	}
	return ""
}

// settled reports whether the StatefulSet controller has observed the newest template.
func settled(set *appsv1.StatefulSet) bool {
	return set != nil && set.Status.ObservedGeneration == set.Generation
}
