package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontiki-dev/kontiki/hack/e2e/operatorlog"
)

// operator is the operator that helm installed, with all its logs.
type operator struct {
	*kube

	mu     sync.Mutex
	faults []string
	errs   []string
}

const operatorSelector = "app.kubernetes.io/component=operator,app.kubernetes.io/instance=" + release

// read checks a line of the operator's log.
func (o *operator) read(pod string, line []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if fault := operatorlog.Fault(line); fault != "" {
		o.faults = append(o.faults, pod+": "+fault)
	}
	if operatorlog.IsError(line) {
		o.errs = append(o.errs, pod+": "+string(line))
	}
}

// check fails the test if the log has a line that it must not have, and prints its errors.
func (o *operator) check(t *testing.T) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, fault := range o.faults {
		t.Errorf("the operator's log: %s", fault)
	}
	t.Logf("the operator logged %d errors", len(o.errs))
	for _, line := range o.errs[:min(len(o.errs), 10)] {
		t.Log(line)
	}
}

func (o *operator) pods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := o.CoreV1().Pods(operatorNamespace).List(ctx, metav1.ListOptions{LabelSelector: operatorSelector})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// pod returns the one running pod.
func (o *operator) pod(t *testing.T) corev1.Pod {
	t.Helper()
	var found corev1.Pod
	await(t, "one operator", 2*time.Minute, func(ctx context.Context) error {
		pods, err := o.pods(ctx)
		if err != nil {
			return err
		}
		pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil || !isReady(&p) })
		if len(pods) != 1 {
			return fmt.Errorf("%d are ready", len(pods))
		}
		found = pods[0]
		return nil
	})
	return found
}

// holder returns the holder of the lease: the pod's name is the start of the identity.
func (o *operator) holder(ctx context.Context) (string, error) {
	lease, err := o.CoordinationV1().Leases(operatorNamespace).Get(ctx, "kontiki-operator", metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		return "", errors.New("the lease has no holder")
	}
	return *lease.Spec.HolderIdentity, nil
}

// awaitWork waits until a pod of the operator holds the lease and has reconciled the clusters.
func (o *operator) awaitWork(t *testing.T, pod string) {
	t.Helper()
	await(t, pod+" to hold the lease", 2*time.Minute, func(ctx context.Context) error {
		holder, err := o.holder(ctx)
		if err == nil && !strings.HasPrefix(holder, pod) {
			err = fmt.Errorf("%s holds it", holder)
		}
		return err
	})
	metrics := o.metrics(t, pod)
	await(t, pod+" to reconcile", time.Minute, func(ctx context.Context) error {
		all, err := metrics(ctx)
		if err != nil {
			return err
		}
		if n := sum(all["controller_runtime_reconcile_total"], "", ""); n < 2 {
			return fmt.Errorf("%g times so far", n)
		}
		return nil
	})
}

// noForbidden fails the test if the API server has answered a request of the running operator with 403.
func (o *operator) noForbidden(t *testing.T) {
	t.Helper()
	all, err := o.metrics(t, o.pod(t).Name)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	requests := all["rest_client_requests_total"]
	if sum(requests, "", "") == 0 {
		t.Error("the operator's metrics count no requests, so forbidden ones cannot be found")
	}
	if forbidden := sum(requests, "code", "403"); forbidden > 0 {
		t.Errorf("the API server forbade %g requests of the operator", forbidden)
	}
}

// families are metrics by name.
type families = map[string]*dto.MetricFamily

// metrics returns a reader of a pod's metrics, with the permissions of the chart's role for that.
func (o *operator) metrics(t *testing.T, pod string) func(context.Context) (families, error) {
	t.Helper()
	request := &authenticationv1.TokenRequest{}
	token, err := o.CoreV1().ServiceAccounts(operatorNamespace).CreateToken(
		t.Context(), metricsReader, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	port := forward(t, operatorNamespace, "pod/"+pod, "8443")
	// It signs its certificate itself, as the chart's ServiceMonitor expects.
	insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	t.Cleanup(insecure.CloseIdleConnections)
	return func(ctx context.Context) (families, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://127.0.0.1:"+port+"/metrics", http.NoBody)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+token.Status.Token)
		response, err := insecure.Do(request)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(response.Body)
			return nil, fmt.Errorf("the metrics endpoint returned %s: %s", response.Status, text)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		return parser.TextToMetricFamilies(response.Body)
	}
}

// sum adds up a counter, over the series with a label if one is given.
func sum(family *dto.MetricFamily, label, value string) float64 {
	total := 0.0
	for _, m := range family.GetMetric() {
		has := label == "" || slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool {
			return l.GetName() == label && l.GetValue() == value
		})
		if has {
			total += m.GetCounter().GetValue()
		}
	}
	return total
}
