package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/hack/lab/history"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

func TestAnEndpointMustBeAURL(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"", "demo:8080", "ftp://demo"} {
		err := load(t.Context(), func() {}, endpoint, "p", time.Minute, io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), "--endpoint: ") {
			t.Errorf("%q: got %v", endpoint, err)
		}
	}
}

// The test reads what is printed from the pod's log: every operation, the read back, and the end.
func TestWhatIsPrintedIsReadBackAndLinearizable(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	lines, out := io.Pipe()
	recorder, read := history.NewRecorder(), make(chan error, 1)
	go func() { read <- recorder.Read(lines) }()
	go func() {
		for len(recorder.Operations()) < 200 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		stop()
	}()
	err := load(ctx, stop, cluster.URLs()[0], "p", time.Minute, out)
	if err := errors.Join(err, out.Close(), <-read); err != nil {
		t.Fatal(err)
	}
	if ended, err := recorder.Ended(); !ended || err != nil {
		t.Fatalf("ended: %t, %v", ended, err)
	}
	operations := recorder.Operations()
	if len(operations) < 200 {
		t.Errorf("only %d operations were printed", len(operations))
	}
	for _, o := range operations {
		if o.Outcome != history.OK || !strings.HasPrefix(o.Key, "p/") {
			t.Fatalf("got %+v", o)
		}
	}
	if err := errors.Join(history.ReadBack(operations), history.Check(operations, time.Minute)); err != nil {
		t.Error(err)
	}
}
