package controllers

import (
	"cmp"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// running tells whether the node's container runs, as far as the kubelet has said. If it does not, the node cannot
// vote.
func running(pod *corev1.Pod) bool {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].State.Running != nil {
			return true
		}
	}
	return false
}

// started tells whether the node has passed its start-up probe.
func started(pod *corev1.Pod) bool {
	for i := range pod.Status.ContainerStatuses {
		if s := pod.Status.ContainerStatuses[i]; s.Started != nil && *s.Started {
			return true
		}
	}
	return false
}

// ready tells whether the kubelet has found the node ready to serve.
func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// stuck says why a pod that does not run will hardly run by itself; "": it may. The words leave out what changes from
// try to try, so that the status stays the same while the trouble does (trap O30).
func stuck(pod *corev1.Pod) string {
	for i := range pod.Status.ContainerStatuses {
		if why := stuckContainer(&pod.Status.ContainerStatuses[i]); why != "" {
			return why
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "its pod finds no Kubernetes node: " + shortened(c.Message)
		}
	}
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return "its pod has ended: " + pod.Status.Reason
	}
	return ""
}

func stuckContainer(s *corev1.ContainerStatus) string {
	if ended := cmp.Or(s.State.Terminated, s.LastTerminationState.Terminated); ended != nil && s.State.Running == nil {
		return fmt.Sprintf("its container ended with exit code %d and is started again; its log says why", ended.ExitCode)
	}
	if s.State.Waiting == nil {
		return ""
	}
	switch s.State.Waiting.Reason {
	case "", "ContainerCreating", "PodInitializing":
		return ""
	case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "RegistryUnavailable":
		return fmt.Sprintf("its image %s cannot be had", s.Image)
	default:
		return fmt.Sprintf("its container does not start: %s, %s", s.State.Waiting.Reason, shortened(s.State.Waiting.Message))
	}
}

// shortened cuts a message to what people read in a condition.
func shortened(message string) string {
	const most = 200
	if len(message) <= most {
		return message
	}
	return strings.ToValidUTF8(message[:most], "") + "..."
}

// outdated tells whether a pod was made from another template than the StatefulSet's newest. The revision that the
// StatefulSet calls current says nothing under OnDelete (trap O16).
func outdated(set *appsv1.StatefulSet, pod *corev1.Pod) bool {
	return set != nil && pod != nil && set.Status.UpdateRevision != "" &&
		pod.Labels[appsv1.ControllerRevisionHashLabelKey] != set.Status.UpdateRevision
}

// settled tells whether the StatefulSet controller has seen the newest template.
func settled(set *appsv1.StatefulSet) bool {
	return set != nil && set.Status.ObservedGeneration == set.Generation
}
