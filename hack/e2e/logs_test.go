package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// recording keeps the logs of every container that ever runs under a selector: a deleted pod loses its log, and just
// that one may be needed.
type recording struct {
	*kube
	namespace, selector string
	read                func(pod string, line []byte) // may be nil

	done sync.WaitGroup
	mu   sync.Mutex
	file *os.File
}

// record starts to save logs in an artefact, until the test ends.
func (k *kube) record(t *testing.T, in, selector, artefact string, read func(string, []byte)) {
	t.Helper()
	file, err := os.Create(filepath.Join(artefacts, artefact))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &recording{kube: k, namespace: in, selector: selector, read: read, file: file}
	r.done.Go(func() { r.findAll(ctx) })
	t.Cleanup(func() {
		cancel()
		r.done.Wait()
		_ = file.Close()
	})
}

// findAll looks for containers whose log is not followed yet.
func (r *recording) findAll(ctx context.Context) {
	known := make(map[string]bool)
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		pods, err := r.CoreV1().Pods(r.namespace).List(ctx, metav1.ListOptions{LabelSelector: r.selector})
		if err != nil {
			pods = &corev1.PodList{}
		}
		for _, pod := range pods.Items {
			for _, c := range pod.Status.ContainerStatuses {
				if c.State.Running != nil && !known[c.ContainerID] {
					known[c.ContainerID] = true
					r.done.Go(func() { r.follow(ctx, pod.Name) })
				}
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// follow saves the log of a pod's container from its start to its end.
func (r *recording) follow(ctx context.Context, pod string) {
	stream, err := r.CoreV1().Pods(r.namespace).GetLogs(pod, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.note(pod, []byte("this container's log cannot be read: "+err.Error()))
		}
		return
	}
	defer stream.Close()
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		r.note(pod, lines.Bytes())
	}
}

func (r *recording) note(pod string, line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.file, "%s %s\n", pod, line)
	if r.read != nil {
		r.read(pod, line)
	}
}
