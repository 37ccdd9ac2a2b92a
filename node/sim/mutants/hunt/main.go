// Program hunt hunts every planted bug with the simulator and prints the table of what caught it. It fails if a mutant
// is not caught, does not apply any more or does not compile, if the code without any mutant breaks an invariant on the
// seeds that caught them, and if the table in node/sim/MUTANTS.md lists other mutants than there are. With -operator it
// hunts the mutants in controllers/planted with the tests of controllers/decide instead, and with -core those in
// node/raft/planted with the tests of node/raft.
//
//	go run ./node/sim/mutants/hunt [-operator | -core | -seeds 0..500] [-workers 2] [-only T12,T13] [-limit 10m] [-write]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kontiki-dev/kontiki/node/sim/mutants"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "hunt:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	seeds := flag.String("seeds", "0..500", "the seeds on which each mutant is hunted")
	workers := flag.Int("workers", 2, "how many mutants are built and hunted at once")
	only := flag.String("only", "", "the mutants to hunt, with commas; all if empty")
	limit := flag.Duration("limit", 10*time.Minute, "how long the hunt for one mutant may take")
	operator := flag.Bool("operator", false, "hunt the mutants of the operator, with its tests")
	core := flag.Bool("core", false, "hunt the mutants of the consensus core, with its tests")
	write := flag.Bool("write", false, "write the table into node/sim/MUTANTS.md")
	flag.Parse()
	if flag.NArg() > 0 || *workers < 1 || *limit <= 0 {
		return fmt.Errorf("the arguments %q mean nothing; -workers and -limit must be positive", flag.Args())
	}
	if *operator && *core || *write && (*only != "" || *operator || *core) {
		return errors.New("the table has all mutants of the simulator: give -write, or -only, or one of -operator and -core")
	}
	root, err := mutants.Root()
	if err != nil {
		return err
	}
	s := mutants.Suite{Workers: *workers, Limit: *limit, Progress: progress}
	document := filepath.Join(root, "node", "sim", "MUTANTS.md")
	switch {
	case *operator:
		document, s.Hunter = "", &mutants.ByTests{Root: root, Package: "controllers/decide"}
		s.Mutants, err = mutants.Operator(os.DirFS(root))
	case *core:
		document, s.Hunter = "", &mutants.ByTests{Root: root, Package: "node/raft"}
		s.Mutants, err = mutants.Core(os.DirFS(root))
	default:
		s.Mutants, s.Hunter = mutants.All(), &mutants.BySimulator{Root: root, Seeds: *seeds}
	}
	if err != nil {
		return err
	}
	return hunt(ctx, &s, *only, document, *write)
}

// hunt hunts the chosen mutants and reports what caught them.
func hunt(ctx context.Context, s *mutants.Suite, only, document string, write bool) error {
	if only != "" {
		s.Only = strings.Split(only, ",")
	}
	rows, err := s.Run(ctx)
	if err != nil {
		return err
	}
	return report(rows, document, write)
}

// progress prints the result of one mutant as soon as its hunt is over; the whole table follows after all of them.
func progress(row mutants.Row) {
	what := "caught"
	switch {
	case row.Err != nil:
		what = "WRONG"
	case row.Catch == nil:
		what = "nothing found"
	}
	fmt.Fprintf(os.Stderr, "%s: %s in %v\n", row.Name(), what, row.Took.Round(time.Millisecond))
}

// report prints the table, and writes or checks the one in the document, if there is one.
func report(rows []mutants.Row, document string, write bool) error {
	wrong, err := mutants.PrintTable(os.Stdout, rows)
	if err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d rows are not as they should be", wrong, len(rows))
	}
	if document == "" {
		return nil
	}
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	if !write {
		return mutants.CheckTable(text)
	}
	if text, err = mutants.WriteTable(text, rows); err != nil {
		return err
	}
	return os.WriteFile(document, text, 0o644)
}
