package node

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pastTheScheduler are the calls with which a node would wait, or ask the clock, without its Scheduler.
var pastTheScheduler = map[string][]string{
	"time":    {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
	"context": {"WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause", "AfterFunc"},
	"runtime": {"Gosched"},
}

// The simulator can run a node in one thread of control only if nothing in it waits by itself.
func TestNothingButTheSchedulerWaitsOrStartsGoroutines(t *testing.T) {
	t.Parallel()
	files := token.NewFileSet()
	for _, name := range sources(t) {
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range goesPastTheScheduler(file) {
			t.Errorf("%s: %s; let the node's Scheduler do it", files.Position(found.at), found.what)
		}
	}
}

func TestWhatGoesPastTheSchedulerIsFound(t *testing.T) {
	t.Parallel()
	for code, bad := range map[string]bool{
		`go f()`:                                                true,
		`<-c`:                                                   true,
		`v := <-c; _ = v`:                                       true,
		`select { case <-c: }`:                                  true,
		`select {}`:                                             true,
		`select { case c <- v: default: }`:                      false,
		`select { case <-c: f(); default: }`:                    false,
		`select { case <-c: <-d; default: }`:                    true,
		`select { case c <- v: default: go f() }`:               true,
		`t := time.NewTimer(d); _ = t`:                          true,
		`now := time.Now(); _ = now`:                            true,
		`clock = time.Now`:                                      false, // as a default that may be replaced
		`ctx, stop := context.WithTimeout(ctx, limit)`:          true,
		`ctx, stop := context.WithCancel(ctx)`:                  false,
		`var wait sync.WaitGroup`:                               true,
		`var mu sync.Mutex`:                                     false,
		`n.sched.Wait(scheduler.Forever, scheduler.Signals{c})`: false,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nfunc g() {\n"+code+"\n}\n", 0)
		if err != nil {
			t.Fatalf("%s: %v", code, err)
		}
		if found := goesPastTheScheduler(file); (len(found) > 0) != bad {
			t.Errorf("%s: found %v, and it should be forbidden: %t", code, found, bad)
		}
	}
}

// scheduled are the packages of which a node consists, beside the pure ones, without those behind its ports.
var scheduled = []string{".", "divergence", "forward", "founding", "metrics", "observation", "watchdog"}

// sources are the files of these packages but for their tests.
func sources(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, folder := range scheduled {
		found, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil || len(found) == 0 {
			t.Fatalf("there are no sources in %s: %v", folder, err)
		}
		names = append(names, found...)
	}
	return slices.DeleteFunc(names, isTestFile)
}

func isTestFile(name string) bool { return strings.HasSuffix(name, "_test.go") }

type finding struct {
	at   token.Pos
	what string
}

// goesPastTheScheduler lists what in a file waits, starts a goroutine or asks the clock.
func goesPastTheScheduler(file *ast.File) []finding {
	var found []finding
	looks := map[ast.Node]bool{} // what selects with a default receive: they do not wait
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, finding{n.Pos(), "a go statement"})
		case *ast.SelectStmt:
			if !hasDefault(n) {
				found = append(found, finding{n.Pos(), "a select without default"})
			}
			for _, clause := range n.Body.List {
				looks[received(clause.(*ast.CommClause).Comm)] = true
			}
		case *ast.UnaryExpr:
			if n.Op == token.ARROW && !looks[n] {
				found = append(found, finding{n.Pos(), "a receive from a channel"})
			}
		case *ast.CallExpr:
			if name, member := qualified(n.Fun); slices.Contains(pastTheScheduler[name], member) {
				found = append(found, finding{n.Pos(), name + "." + member})
			}
		case *ast.SelectorExpr:
			if name, member := qualified(n); name == "sync" && (member == "WaitGroup" || member == "Cond") {
				found = append(found, finding{n.Pos(), "a sync." + member})
			}
		}
		return true
	})
	return found
}

func hasDefault(s *ast.SelectStmt) bool {
	return slices.ContainsFunc(s.Body.List, func(clause ast.Stmt) bool { return clause.(*ast.CommClause).Comm == nil })
}

// received is the receiving expression of a select's case, nil if there is none.
func received(comm ast.Stmt) ast.Node {
	switch comm := comm.(type) {
	case *ast.ExprStmt:
		return comm.X
	case *ast.AssignStmt:
		return comm.Rhs[0]
	}
	return nil
}

func qualified(e ast.Expr) (name, member string) {
	selector, ok := e.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	x, ok := selector.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	return x.Name, selector.Sel.Name
}
