package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontiki-dev/kontiki/hack/lab/history"
)

// restrictedPod is a pod that the restricted pod security admits: %s are its name, namespace, node selector, image,
// command and arguments.
const restrictedPod = `
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: %s, labels: {kontiki-e2e: client}}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: 5
  nodeSelector: %s
  tolerations: [{operator: Exists}]
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: main
    image: %s
    imagePullPolicy: IfNotPresent
    command: [%s]
    args: %s
    resources: {requests: {cpu: 20m, memory: 32Mi}, limits: {memory: 256Mi}}
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`

// raftctl runs one command of raftctl in a pod, as a program in the cluster would use the client Service.
func (r *raft) raftctl(t *testing.T, arguments ...string) string {
	t.Helper()
	name := r.name + "-raftctl-" + arguments[0]
	arguments = append([]string{"--endpoints", r.url(), "--timeout", "30s"}, arguments...)
	mustRun(t, "", "kubectl", "delete", "pod", name, "-n", namespace, "--ignore-not-found", "--wait")
	apply(t, fmt.Sprintf(restrictedPod, name, namespace, "{}", raftnodeImage, "/raftctl", toJSON(t, arguments)))
	await(t, "raftctl to end", 2*time.Minute, func(ctx context.Context) error {
		pod, err := r.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		switch pod.Status.Phase {
		case corev1.PodSucceeded:
			return nil
		case corev1.PodFailed:
			t.Fatalf("raftctl failed:\n%s", kubectl(t, "logs", "-n", namespace, name))
		}
		return fmt.Errorf("the pod is %s", pod.Status.Phase)
	})
	return strings.TrimSpace(kubectl(t, "logs", "-n", namespace, name))
}

// url is the client Service, as a pod in the namespace uses it.
func (r *raft) url() string { return "http://" + r.name + ":8080" }

// workload is the client that writes during the whole test.
type workload struct {
	*raft
	pod      string
	recorder *history.Recorder
	cancel   context.CancelFunc
	followed chan error
}

// startWorkload starts the client on a Kubernetes node, and waits until it is running.
func (r *raft) startWorkload(t *testing.T, node string) *workload {
	t.Helper()
	w := &workload{raft: r, pod: r.name + "-workload", recorder: history.NewRecorder(), followed: make(chan error, 1)}
	selector := toJSON(t, map[string]string{corev1.LabelHostname: node})
	arguments := toJSON(t, []string{"run", "--endpoint", r.url()})
	apply(t, fmt.Sprintf(restrictedPod, w.pod, namespace, selector, workloadImage, "/workload", arguments))
	await(t, "the workload to run", time.Minute, func(ctx context.Context) error {
		pod, err := r.CoreV1().Pods(namespace).Get(ctx, w.pod, metav1.GetOptions{})
		if err == nil && pod.Status.Phase != corev1.PodRunning {
			err = fmt.Errorf("the pod is %s", pod.Status.Phase)
		}
		return err
	})
	ctx, cancel := context.WithCancel(context.Background()) // it runs longer than the step that starts it
	w.cancel = cancel
	go func() { w.followed <- w.follow(ctx) }()
	await(t, "the first writes", time.Minute, func(context.Context) error {
		if _, err := w.recorder.Ended(); err != nil {
			t.Fatal(err)
		}
		if n := len(w.recorder.Operations()); n < 100 {
			return fmt.Errorf("%d operations so far", n)
		}
		return nil
	})
	return w
}

// follow reads the client's output until its last line, or until an invalid line. A stream that breaks is opened
// again; the recorder skips lines that it has.
func (w *workload) follow(ctx context.Context) error {
	for {
		stream, err := w.CoreV1().Pods(namespace).GetLogs(w.pod, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
		if err == nil {
			err = w.recorder.Read(stream)
			_ = stream.Close()
		}
		if ended, broken := w.recorder.Ended(); ended || broken != nil {
			return broken
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(look):
		}
	}
}

// gaps returns the longest times between two successful writes in a step, through both paths. It waits for the first
// write after the step.
func (w *workload) gaps(t *testing.T, from, to time.Time) (library, plain time.Duration) {
	t.Helper()
	begin, end := w.recorder.Clock(from), w.recorder.Clock(to)
	measure := func(path history.Path) (longest history.Gap) {
		await(t, "a write after the step", time.Minute, func(context.Context) error {
			if _, err := w.recorder.Ended(); err != nil {
				t.Fatal(err)
			}
			g, over := history.LongestGap(w.recorder.Operations(), path, begin, end)
			if !over {
				return errors.New("none succeeded by " + string(path))
			}
			longest = g
			return nil
		})
		return longest
	}
	return measure(history.Library).Length(), measure(history.Plain).Length()
}

// finish stops the client, which reads back all that it wrote, and checks the whole history.
func (w *workload) finish(t *testing.T) {
	t.Helper()
	defer w.cancel()
	kubectl(t, "exec", "-n", namespace, w.pod, "--", "/workload", "stop")
	select {
	case err := <-w.followed:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(4 * time.Minute):
		t.Fatal("the workload did not end")
	}
	operations := w.recorder.Operations()
	w.saveHistory(t, operations)
	outcomes := make(map[history.Outcome]int)
	for i := range operations {
		outcomes[operations[i].Outcome]++
	}
	t.Logf("%d operations: %d ok, %d certainly not done, %d of unknown outcome", len(operations),
		outcomes[history.OK], outcomes[history.Fail], outcomes[history.Unknown])
	if err := history.ReadBack(operations); err != nil {
		t.Error(err)
	}
	began := time.Now()
	err := history.Check(operations, time.Minute)
	t.Logf("checked in %.1f s", time.Since(began).Seconds())
	if err != nil {
		t.Errorf("the history is not linearizable: %v", err)
		w.draw(t, err)
	}
}

// draw saves an HTML page for each key that is not linearizable.
func (w *workload) draw(t *testing.T, err error) {
	t.Helper()
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		if v, ok := errors.AsType[*history.Violation](err); ok {
			path := save(t, "violation-"+strings.ReplaceAll(v.Key, "/", "-")+".html", nil)
			if err := v.Draw(path); err != nil {
				t.Error(err)
			}
			t.Logf("%s shows how far the operations on %s can be explained", path, v.Key)
		}
	}
}

func (w *workload) saveHistory(t *testing.T, operations []history.Operation) {
	t.Helper()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	for i := range operations {
		if err := encoder.Encode(operations[i]); err != nil {
			t.Fatal(err)
		}
	}
	save(t, w.name+"-history.jsonl", text.Bytes())
}

// outcomesBetween counts the operations that were not done between two times, for the output: an error alone is no
// fault.
func (w *workload) outcomesBetween(from, to time.Time) string {
	begin, end := w.recorder.Clock(from), w.recorder.Clock(to)
	codes := make(map[string]int)
	for _, o := range w.recorder.Operations() {
		if o.Return >= begin && o.Call <= end && o.Outcome != history.OK {
			codes[string(o.Path)+" "+string(o.Outcome)+" "+o.Code]++
		}
	}
	if len(codes) == 0 {
		return "every operation succeeded"
	}
	return "not done: " + fmt.Sprint(codes)
}
