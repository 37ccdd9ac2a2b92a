package charts

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// endpoint is the only endpoint of a ServiceMonitor.
func endpoint(t *testing.T, r rendered) values {
	t.Helper()
	endpoints := r.one(t, "ServiceMonitor").Object["spec"].(values)["endpoints"].([]any)
	if len(endpoints) != 1 {
		t.Fatalf("the ServiceMonitor has the endpoints %v", endpoints)
	}
	return endpoints[0].(values)
}

// A Prometheus that several teams share rejects monitors that name a file.
func TestServiceMonitorNamesASecretAndNoFile(t *testing.T) {
	t.Parallel()
	r := render(t, operatorChart, at("metrics.serviceMonitor.enabled", true))
	if strings.Contains(r.text(t), "bearerTokenFile") {
		t.Error("the ServiceMonitor names a file of Prometheus")
	}
	credentials := endpoint(t, r)["authorization"].(values)["credentials"].(values)
	secret := convert[corev1.Secret](t, r.one(t, "Secret"))
	if credentials["name"] != secret.Name || credentials["key"] != corev1.ServiceAccountTokenKey ||
		secret.Type != corev1.SecretTypeServiceAccountToken || len(secret.Data)+len(secret.StringData) > 0 {
		t.Errorf("the credentials are %v, the Secret is %s of type %s", credentials, secret.Name, secret.Type)
	}
	account := secret.Annotations[corev1.ServiceAccountNameKey]
	for _, object := range r.ofKind("ClusterRoleBinding") {
		binding := convert[rbacv1.ClusterRoleBinding](t, object)
		for _, subject := range binding.Subjects {
			if subject.Name == account && !strings.HasSuffix(binding.RoleRef.Name, "-metrics-reader") {
				t.Errorf("the account of the ServiceMonitor has the role %s", binding.RoleRef.Name)
			}
			if subject.Name == account && subject.Namespace == namespace {
				account = ""
			}
		}
	}
	if account != "" {
		t.Errorf("the account %q of the ServiceMonitor may not read the metrics", account)
	}
}

func TestServiceMonitorTakesASecretThatExists(t *testing.T) {
	t.Parallel()
	given := at("metrics.serviceMonitor", values{
		"enabled": true, "tokenSecret": values{"name": "scraper", "key": "bearer"},
	})
	r := render(t, operatorChart, chartWith(given, values{"rbac": values{"create": false}}))
	credentials := endpoint(t, r)["authorization"].(values)["credentials"].(values)
	if credentials["name"] != "scraper" || credentials["key"] != "bearer" || len(r.ofKind("Secret")) != 0 {
		t.Errorf("the credentials are %v, and the chart creates %d Secrets", credentials, len(r.ofKind("Secret")))
	}
}

func TestServiceMonitorOfOpenMetricsSendsNoToken(t *testing.T) {
	t.Parallel()
	r := render(t, operatorChart, at("metrics", values{"secure": false, "serviceMonitor": values{"enabled": true}}))
	if e := endpoint(t, r); e["authorization"] != nil || e["scheme"] != nil || len(r.ofKind("Secret")) != 0 {
		t.Errorf("the endpoint is %v, and the chart creates %d Secrets", e, len(r.ofKind("Secret")))
	}
}

// The operator's metrics have the labels namespace and cluster, of the RaftCluster that they describe. Without this
// Prometheus renames them to exported_namespace, and alerts by namespace use the operator's.
func TestServiceMonitorKeepsTheLabelsOfTheMetrics(t *testing.T) {
	t.Parallel()
	if e := endpoint(t, render(t, operatorChart, at("metrics.serviceMonitor.enabled", true))); e["honorLabels"] != true {
		t.Errorf("the endpoint is %v", e)
	}
}

func TestWhatWouldDoNothingIsRefused(t *testing.T) {
	t.Parallel()
	for name, given := range map[string]values{
		"metrics.enabled": at("metrics", values{"enabled": false, "serviceMonitor": values{"enabled": true}}),
		"serviceAccount.create": at("serviceAccount", values{
			"create": false, "annotations": values{"example.com/role": "x"},
		}),
	} {
		if _, err := tryRender(t, operatorChart, release, given); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("with %v: %v, want a message that names %s", given, err, name)
		}
	}
}

// helm upgrade --reuse-values keeps the values of the release before, in which new values have no default.
func TestServiceMonitorOfAReleaseFromBeforeTheTokenSecret(t *testing.T) {
	t.Parallel()
	given := at("metrics.serviceMonitor", values{"enabled": true, "tokenSecret": nil})
	credentials := endpoint(t, render(t, operatorChart, given))["authorization"].(values)["credentials"].(values)
	if credentials["name"] != release+"-raft-operator-metrics-reader" || credentials["key"] != "token" {
		t.Errorf("the credentials are %v", credentials)
	}
}

// OpenShift rejects a pod whose user is outside of the range of its namespace.
func TestPlatformMayAssignTheUsers(t *testing.T) {
	t.Parallel()
	for name, given := range map[string]values{
		operatorChart: at("podSecurityContext", values{"runAsUser": nil, "runAsGroup": nil}),
		clusterChart:  at("cluster.pod.userAssignment", "Platform"),
	} {
		pods := 0
		for _, object := range render(t, name, given).objects {
			pod, isOne := podOf(t, object)
			if !isOne {
				continue
			}
			pods++
			s := pod.Spec.SecurityContext
			if s.RunAsUser != nil || s.RunAsGroup != nil || s.FSGroup != nil || !*s.RunAsNonRoot {
				t.Errorf("%s %s: the pod asks for a user or group: %+v", name, object.GetName(), s)
			}
			for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
				if container.SecurityContext.RunAsUser != nil {
					t.Errorf("%s %s: container %s asks for a user", name, object.GetName(), container.Name)
				}
			}
		}
		if pods != 1 {
			t.Errorf("%s creates %d pods", name, pods)
		}
	}
}
