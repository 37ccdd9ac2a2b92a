package report_test

import (
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/hack/e2e/report"
)

func TestTable(t *testing.T) {
	t.Parallel()
	got := report.Table([]report.Step{
		{Name: "apply", Result: "passed", Took: 12345 * time.Millisecond, Aims: []report.Aim{
			{What: "Ready", Measured: 12 * time.Second, Limit: 30 * time.Second},
		}},
		{
			Name: "delete", Result: "FAILED", Took: 90 * time.Second, Gap: 123 * time.Millisecond, Plain: 2 * time.Second,
			Aims: []report.Aim{{What: "gap", Measured: 1500 * time.Millisecond, Limit: time.Second}},
		},
	})
	want := `| step   | result | seconds | longest gap | by plain HTTP | aim                               |
| ------ | ------ | ------- | ----------- | ------------- | --------------------------------- |
| apply  | passed | 12.3    | -           | -             | Ready 12.0 s of 30.0 s (0.40x)    |
| delete | FAILED | 90.0    | 123 ms      | 2.0 s         | gap 1.5 s of 1.0 s (1.50x) MISSED |
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestAims(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		measured         time.Duration
		missed, hopeless bool
	}{
		{time.Second, false, false},
		{1001 * time.Millisecond, true, false},
		{4 * time.Second, true, false},
		{4001 * time.Millisecond, true, true},
	} {
		a := report.Aim{What: "gap", Measured: c.measured, Limit: time.Second}
		if a.Missed() != c.missed || a.Hopeless() != c.hopeless {
			t.Errorf("%s: missed %t, hopeless %t, want %t, %t", a, a.Missed(), a.Hopeless(), c.missed, c.hopeless)
		}
	}
}
