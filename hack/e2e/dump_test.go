package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// dump saves what explains a failure: events, objects, and the logs of every container's present and previous run.
func (k *kube) dump(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, in := range []string{namespace, operatorNamespace} {
		k.keep(ctx, t, in+"-events.txt", "get", "events", "-n", in, "--sort-by=.lastTimestamp", "-o", "wide")
		k.keep(ctx, t, in+"-objects.yaml", "get",
			"raftclusters,statefulsets,deployments,pods,pvc,services,pdb,endpointslices,leases", "-n", in, "-o", "yaml")
		k.keep(ctx, t, in+"-pods.txt", "describe", "pods", "-n", in)
		pods, err := k.CoreV1().Pods(in).List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Logf("dump: %v", err)
			continue
		}
		for _, pod := range pods.Items {
			if strings.HasSuffix(pod.Name, "-workload") {
				continue // the history has it all
			}
			log := filepath.Join(in+"-logs", pod.Name)
			k.keep(ctx, t, log+".log", "logs", "-n", in, pod.Name, "--all-containers", "--timestamps")
			k.keep(ctx, t, log+".previous.log", "logs", "-n", in, pod.Name, "--all-containers", "--timestamps", "--previous")
		}
	}
	k.keep(ctx, t, "nodes.txt", "describe", "nodes")
	t.Logf("the state of the cluster is in %s", filepath.Join(artefacts, "dump"))
}

// keep saves the output of a command; a container without a previous run is no error.
func (k *kube) keep(ctx context.Context, t *testing.T, name string, arguments ...string) {
	t.Helper()
	out, err := command(ctx, "", "kubectl", arguments...)
	if err != nil {
		if strings.Contains(name, ".previous.") {
			return
		}
		out += fmt.Sprintf("\n%v\n", err)
	}
	save(t, filepath.Join("dump", name), []byte(out))
}
