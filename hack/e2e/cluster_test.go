package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/node/api"
)

// replicas of every cluster of the test.
const replicas = 3

// raft is one RaftCluster, as its user and the API server see it.
type raft struct {
	*kube
	name string
}

func (r *raft) pod(ordinal int) string { return fmt.Sprintf("%s-%d", r.name, ordinal) }

// pods returns the pods in the order of their names.
func (r *raft) pods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := r.CoreV1().Pods(namespace).List(ctx,
		metav1.ListOptions{LabelSelector: v1alpha1.LabelCluster + "=" + r.name})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return list.Items, nil
}

// view requests the view of one node, through the API server.
func (r *raft) view(ctx context.Context, pod string) (api.ClusterView, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var view api.ClusterView
	text, err := r.CoreV1().RESTClient().Get().Namespace(namespace).Resource("pods").Name("http:" + pod + ":8080").
		SubResource("proxy").Suffix(api.PathCluster).DoRaw(ctx)
	if err != nil {
		return view, err
	}
	return view, json.Unmarshal(text, &view)
}

// leader asks every node, and returns the pod that reports that it leads, in the highest term.
func (r *raft) leader(ctx context.Context) (string, error) {
	var leader string
	var term uint64
	var errs []error
	for ordinal := range replicas {
		view, err := r.view(ctx, r.pod(ordinal))
		if err != nil {
			errs = append(errs, err)
		} else if view.Role == "LEADER" && view.Term > term {
			leader, term = r.pod(ordinal), view.Term
		}
	}
	if leader == "" {
		return "", fmt.Errorf("there is no leader: %w", errors.Join(errs...))
	}
	return leader, nil
}

func (r *raft) mustLeader(t *testing.T) string {
	t.Helper()
	var leader string
	await(t, "a leader", time.Minute, func(ctx context.Context) (err error) {
		leader, err = r.leader(ctx)
		return err
	})
	return leader
}

// transfer makes a pod's node the leader.
func (r *raft) transfer(t *testing.T, to string) {
	t.Helper()
	await(t, to+" to lead", time.Minute, func(ctx context.Context) error {
		leader, err := r.leader(ctx)
		if err != nil || leader == to {
			return err
		}
		view, err := r.view(ctx, to)
		if err != nil {
			return err
		}
		body, err := json.Marshal(api.TransferRequest{To: view.NodeID})
		if err != nil {
			return err
		}
		_, err = r.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").Name("http:" + leader + ":8080").
			SubResource("proxy").Suffix(api.PathLeaderTransfer).Body(body).DoRaw(ctx)
		return errors.Join(fmt.Errorf("%s still led", leader), err)
	})
}

// podRuns identifies the runs of the pods: each UID with the number of restarts of its container.
type podRuns map[string]string

func podRunsOf(pods []corev1.Pod) podRuns {
	all := make(podRuns)
	for i := range pods {
		all[pods[i].Name] = life(&pods[i])
	}
	return all
}

func life(pod *corev1.Pod) string {
	restarts := int32(0)
	for _, c := range pod.Status.ContainerStatuses {
		restarts += c.RestartCount
	}
	return fmt.Sprintf("%s restarted %d times", pod.UID, restarts)
}

func (r *raft) mustPodRuns(t *testing.T) podRuns {
	t.Helper()
	pods, err := r.pods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return podRunsOf(pods)
}

// changed names the pods that were replaced or restarted, or returns nil.
func (r *raft) changed(ctx context.Context, before podRuns) error {
	pods, err := r.pods(ctx)
	if err != nil {
		return err
	}
	now := podRunsOf(pods)
	var errs []error
	for name, was := range before {
		if now[name] != was {
			errs = append(errs, fmt.Errorf("pod %s was %s, and now is %q", name, was, now[name]))
		}
	}
	return errors.Join(errs...)
}

// healthy returns what keeps the cluster from being whole: by its status, its pods, and the report of every node.
func (r *raft) healthy(ctx context.Context) error {
	cluster, err := r.raftCluster(ctx, r.name)
	if err != nil {
		return err
	}
	if err := ready(cluster); err != nil {
		return err
	}
	pods, err := r.pods(ctx)
	if err != nil {
		return err
	}
	if len(pods) != replicas {
		return fmt.Errorf("there are %d pods", len(pods))
	}
	leaders := make(map[uint64]bool)
	for i := range pods {
		pod := &pods[i]
		if pod.DeletionTimestamp != nil || !isReady(pod) {
			return fmt.Errorf("pod %s is not ready", pod.Name)
		}
		view, err := r.view(ctx, pod.Name)
		if err != nil {
			return err
		}
		if view.State != "member" || !view.Ready || view.LeaderID == 0 {
			return fmt.Errorf("the node in %s is a %s, ready %t, and follows %d",
				pod.Name, view.State, view.Ready, view.LeaderID)
		}
		leaders[view.LeaderID] = true
	}
	if len(leaders) != 1 {
		return fmt.Errorf("the nodes follow different leaders: %v", leaders)
	}
	return nil
}

func (r *raft) awaitHealthy(t *testing.T, limit time.Duration) {
	t.Helper()
	await(t, r.name+" to be whole", limit, r.healthy)
}

// ready returns what keeps a RaftCluster from being Ready for its present spec.
func ready(cluster *v1alpha1.RaftCluster) error {
	if seen := cluster.Status.ObservedGeneration; seen != cluster.Generation {
		return fmt.Errorf("the status is of generation %d, the spec of %d", seen, cluster.Generation)
	}
	if cluster.Status.ReadyReplicas != cluster.Spec.Replicas {
		return fmt.Errorf("%d of %d replicas are ready", cluster.Status.ReadyReplicas, cluster.Spec.Replicas)
	}
	return condition(cluster, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

// condition returns in which way a condition is not as wanted; an empty reason is any.
func condition(cluster *v1alpha1.RaftCluster, kind string, status metav1.ConditionStatus, reason string) error {
	c := meta.FindStatusCondition(cluster.Status.Conditions, kind)
	switch {
	case c == nil:
		return fmt.Errorf("there is no condition %s", kind)
	case c.Status != status || reason != "" && c.Reason != reason:
		return fmt.Errorf("%s is %s, %s: %s", kind, c.Status, c.Reason, c.Message)
	}
	return nil
}

// awaitCondition waits for a condition whose message contains all the words.
func (r *raft) awaitCondition(
	t *testing.T, kind string, status metav1.ConditionStatus, reason string, limit time.Duration, words ...string,
) {
	t.Helper()
	await(t, fmt.Sprintf("%s %s %s", kind, status, reason), limit, func(ctx context.Context) error {
		cluster, err := r.raftCluster(ctx, r.name)
		if err != nil {
			return err
		}
		if cluster.Status.ObservedGeneration != cluster.Generation {
			return fmt.Errorf("the status is of generation %d", cluster.Status.ObservedGeneration)
		}
		if err := condition(cluster, kind, status, reason); err != nil {
			return err
		}
		message := meta.FindStatusCondition(cluster.Status.Conditions, kind).Message
		for _, word := range words {
			if !strings.Contains(message, word) {
				return fmt.Errorf("the message does not contain %q: %s", word, message)
			}
		}
		t.Logf("%s=%s %s: %s", kind, status, reason, message)
		return nil
	})
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// patch changes the spec, like kubectl edit.
func (r *raft) patch(t *testing.T, spec map[string]any) {
	t.Helper()
	kubectl(t, "patch", "raftcluster", r.name, "-n", namespace, "--type=merge", "-p",
		toJSON(t, map[string]any{"spec": spec}))
}

// memory is a change of the spec that requires a rolling update.
func memory(limit string) map[string]any {
	return map[string]any{"resources": map[string]any{"limits": map[string]any{"memory": limit}}}
}

// rolled waits until every pod has a memory limit, and checks meanwhile that never more than one is down: the operator
// does one act at a time, and keeps a quorum.
func (r *raft) rolled(t *testing.T, limit string, within time.Duration) {
	t.Helper()
	leader := r.mustLeader(t)
	var order []string
	seen := r.mustPodRuns(t)
	await(t, "the roll to "+limit, within, func(ctx context.Context) error {
		pods, err := r.pods(ctx)
		if err != nil {
			return err
		}
		old, away := 0, replicas
		for i := range pods {
			pod := &pods[i]
			if isReady(pod) && pod.DeletionTimestamp == nil {
				away--
			}
			if l := pod.Spec.Containers[0].Resources.Limits.Memory().String(); l != limit {
				old++
			} else if seen[pod.Name] != life(pod) && !slices.Contains(order, pod.Name) {
				order = append(order, pod.Name)
			}
		}
		if away > 1 {
			t.Errorf("%d pods are down at once", away)
		}
		if old > 0 || len(pods) < replicas {
			return fmt.Errorf("%d of %d pods are old", old, len(pods))
		}
		return r.healthy(ctx)
	})
	t.Logf("%s led; the pods were replaced in the order %s", leader, strings.Join(order, ", "))
}

// claims returns the UIDs of the volumes' claims by name.
func (r *raft) claims(t *testing.T) map[string]types.UID {
	t.Helper()
	all := make(map[string]types.UID)
	for ordinal := range replicas {
		name := "data-" + r.pod(ordinal)
		claim, err := r.CoreV1().PersistentVolumeClaims(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		all[name] = claim.UID
	}
	return all
}
