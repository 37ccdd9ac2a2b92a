package operatorlog_test

import (
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/hack/e2e/operatorlog"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"": "",
		`{"level":"INFO","msg":"bootstrapped demo","cluster":"demo"}`: "",
		// A message of authorization, as an informer logs it.
		`{"level":"error","msg":"Failed to watch","err":"pods is forbidden: User \"a\" cannot list"}`: "forbidden",
		// One of admission, inside a group.
		`{"level":"info","request":{"error":"pods \"x\" is forbidden: violates PodSecurity"}}`:    "forbidden",
		`{"level":"info","errors":["ok","services is forbidden: User \"x\" cannot patch"]}`:       "forbidden",
		`{"level":"info","msg":"what is forbidden, stays forbidden"}`:                             "",
		`{"level":"error","msg":"Observed a panic","panic":"runtime error: index out of range"}`:  "panic",
		`panic: runtime error: invalid memory address`:                                            "not JSON",
		`E1123 09:19:04.000000 1 reflector.go:1] klog writes past the operator's logger`:          "not JSON",
		`{"level":"info","msg":"reconcile","error":"panic: runtime error [recovered]","depth":1}`: "panic",
	} {
		got := operatorlog.Fault([]byte(line))
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		`{"level":"ERROR","msg":"x"}`: true, `{"level":"error"}`: true, `{"level":"INFO"}`: false, `not JSON`: false,
	} {
		if operatorlog.IsError([]byte(line)) != want {
			t.Errorf("%s: want %t", line, want)
		}
	}
}
