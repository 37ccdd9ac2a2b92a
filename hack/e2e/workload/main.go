// Command workload is the client of the end-to-end tests. It runs in a pod, reads and writes a cluster through its
// client Service during the test, and prints every operation as one line of JSON, with its times and outcome
// (hack/lab/history). On SIGTERM it stops, reads back every key that it wrote, and ends.
//
//	workload run --endpoint http://demo:8080
//	workload stop      sends SIGTERM to the process with id 1: the image has no shell and no kill
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/kontiki-dev/kontiki/hack/lab/history"
	"github.com/kontiki-dev/kontiki/hack/lab/workload"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("workload: ")
	if len(os.Args) < 2 {
		log.Fatal("usage: workload run --endpoint URL | workload stop")
	}
	var err error
	switch os.Args[1] {
	case "run":
		err = run(os.Args[2:])
	case "stop":
		err = syscall.Kill(1, syscall.SIGTERM)
	default:
		err = fmt.Errorf("unknown command %q; want run or stop", os.Args[1])
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(arguments []string) error {
	flags := flag.NewFlagSet("workload run", flag.ContinueOnError)
	endpoint := flags.String("endpoint", "", "`URL` of the client Service")
	prefix := flags.String("prefix", "e2e", "prefix of every key")
	readback := flags.Duration("readback", 2*time.Minute, "timeout for reading all keys at the end")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	return load(ctx, cancel, *endpoint, *prefix, *readback, os.Stdout)
}

// load runs the workload until the context ends, calls stopped, reads everything back and prints the last line. In
// total it makes 60 operations a second of the library's clients, 5 of the one that writes each key once, 16 of the
// plain ones. That is little for the cluster, enough to measure a gap of a twentieth of a second, and checked in
// seconds.
func load(
	ctx context.Context, stopped func(), endpoint, prefix string, readback time.Duration, out io.Writer,
) error {
	p := &printer{encoder: json.NewEncoder(out)}
	w, err := workload.New(workload.Config{
		Endpoints: []string{endpoint}, Service: true, Prefix: prefix + "/",
		Library: workload.Clients{Count: 6, Every: 100 * time.Millisecond},
		Plain:   workload.Clients{Count: 2, Every: 125 * time.Millisecond},
		Mix:     workload.Mix{Put: 2, Get: 1, CAS: 1}, RegisterLife: 1000,
		WriteOnceEvery: 200 * time.Millisecond, Record: p.print,
	})
	if err != nil {
		return fmt.Errorf("--endpoint: %w", err)
	}
	defer w.Close()
	w.Run(ctx)
	stopped() // a second signal ends the process immediately
	ctx, stop := context.WithTimeout(context.Background(), readback)
	defer stop()
	w.ReadBack(ctx)
	return p.end()
}

// printer prints operations, one line each.
type printer struct {
	encoder *json.Encoder
	count   int
	err     error // the first; the output after a lost line is useless
}

func (p *printer) print(o history.Operation) {
	p.count++
	if err := p.encoder.Encode(o); err != nil && p.err == nil {
		p.err = err
	}
}

// end prints the last line.
func (p *printer) end() error {
	if p.err != nil {
		return fmt.Errorf("printing the operations: %w", p.err)
	}
	return p.encoder.Encode(history.End{Count: p.count})
}
