// Command workload is the client of the end-to-end tests. It runs in a pod, reads and writes a cluster through its
// client Service for as long as the test takes, and prints every operation as one line of JSON: what was tried, when,
// and with what outcome (package history). On SIGTERM it stops, reads back every key that it wrote, and ends.
//
//	workload run --endpoint http://demo:8080
//	workload stop      sends SIGTERM to the process with id 1: the image has no shell and no kill
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/kontiki-dev/kontiki/hack/e2e/history"
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
		err = fmt.Errorf("%q is neither run nor stop", os.Args[1])
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(arguments []string) error {
	flags := flag.NewFlagSet("workload run", flag.ContinueOnError)
	endpoint := flags.String("endpoint", "", "the `URL` of the client Service")
	prefix := flags.String("prefix", "e2e", "every key begins with this")
	readback := flags.Duration("readback", 2*time.Minute, "how long to try to read all keys at the end")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	w, err := newWorkload(*endpoint, *prefix, &printer{encoder: json.NewEncoder(os.Stdout)})
	if err != nil {
		return err
	}
	defer w.close()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	w.write(ctx)
	cancel() // a second signal ends the process at once
	ctx, stop := context.WithTimeout(context.Background(), *readback)
	defer stop()
	w.readBack(ctx)
	return w.printer.end()
}

// printer prints operations, one line each, and numbers them.
type printer struct {
	mu      sync.Mutex
	encoder *json.Encoder
	count   int
	err     error // the first; what comes after a lost line is of no use
}

func (p *printer) print(o history.Operation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	o.Serial = p.count
	if err := p.encoder.Encode(o); err != nil && p.err == nil {
		p.err = err
	}
}

// end prints the last line.
func (p *printer) end() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return fmt.Errorf("printing the operations: %w", p.err)
	}
	return p.encoder.Encode(history.End{Count: p.count})
}
