package node

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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
		`go f()`:                                       true,
		`<-c`:                                          true,
		`v := <-c; _ = v`:                              true,
		`select { case <-c: }`:                         true,
		`select {}`:                                    true,
		`select { case c <- v: default: }`:             false,
		`select { case <-c: f(); default: }`:           false,
		`select { case <-c: <-d; default: }`:           true,
		`select { case c <- v: default: go f() }`:      true,
		`t := time.NewTimer(d); _ = t`:                 true,
		`now := time.Now(); _ = now`:                   true,
		`clock = time.Now`:                             false, // as a default that may be replaced
		`ctx, stop := context.WithTimeout(ctx, limit)`: true,
		`ctx, stop := context.WithCancel(ctx)`:         false,
		`var wait sync.WaitGroup`:                      true,
		`var mu sync.Mutex`:                            false,
		`n.sched.Wait(Forever, Signals{c})`:            false,
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

// sources are the files of this package but for its tests and the scheduler itself.
func sources(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && name != "scheduler.go" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		t.Fatal("there are no sources here, so nothing was looked at")
	}
	return names
}

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

func TestMachineWaitsForASignalOrTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &machine{}
		ready, never := make(chan struct{}, 1), make(chan struct{})
		start := m.Now()
		if got := m.Wait(0, Signals{never}); got != -1 || m.Now() != start {
			t.Errorf("a look at nothing gave %d after %v", got, m.Now().Sub(start))
		}
		for place := range len(Signals{}) {
			for _, limit := range []time.Duration{0, time.Second, Forever} {
				signals := Signals{never}
				signals[place] = ready
				ready <- struct{}{}
				if got := m.Wait(limit, signals); got != place || len(ready) != 0 {
					t.Errorf("limit %v: signal %d gave %d and left %d values", limit, place, got, len(ready))
				}
			}
		}
		for range 2 { // the second time with a timer that was used
			start = m.Now()
			if got := m.Wait(time.Second, Signals{never}); got != -1 || m.Now().Sub(start) != time.Second {
				t.Errorf("a limit of a second ended the wait with %d after %v", got, m.Now().Sub(start))
			}
		}
	})
}

func TestMachineKeepsItsTimers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &machine{}
		fired := make(chan struct{}, 2)
		stop := m.AfterFunc(time.Second, func() { fired <- struct{}{} })
		m.AfterFunc(2*time.Second, func() { fired <- struct{}{} })
		stop()
		ctx, cancel := m.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if got := m.Wait(Forever, Signals{ctx.Done()}); got != 0 || ctx.Err() != context.DeadlineExceeded {
			t.Errorf("the context ended with %v", ctx.Err())
		}
		if len(fired) != 1 {
			t.Errorf("%d of two functions ran, though one was stopped in time", len(fired))
		}
	})
}

func TestTogetherEndsWhenAllHave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, start, ended := &machine{}, time.Now(), make(chan struct{}, 3)
		var jobs []func()
		for i := range 3 {
			jobs = append(jobs, func() {
				m.Wait(time.Duration(i+1)*time.Second, Signals{})
				ended <- struct{}{}
			})
		}
		together(m, jobs)
		if took := time.Since(start); len(ended) != 3 || took != 3*time.Second {
			t.Errorf("it returned when %d of 3 had ended, after %v", len(ended), took)
		}
		together(m, nil) // must not wait for what nobody will say
	})
}

// A loop that was held up for long gets one tick, not all that it missed, and keeps the beat.
func TestTicksThatWereMissedDoNotComeInABurst(t *testing.T) {
	t.Parallel()
	const period = 10 * time.Millisecond
	start := time.Unix(1000, 0)
	beats := newMetronome(start, period)
	for _, c := range []struct {
		at, left time.Duration
		tick     bool
	}{
		{0, 10, false},
		{9, 1, false},
		{10, 0, true}, // on time
		{10, 10, false},
		{23, 0, true}, // late
		{24, 6, false},
		{95, 0, true}, // six were missed
		{95, 5, false},
		{100, 0, true}, // and the beat is the old one
	} {
		now := start.Add(c.at * time.Millisecond)
		left, tick := beats.left(now), beats.beat(now)
		if left != c.left*time.Millisecond || tick != c.tick {
			t.Errorf("after %d ms: %v left, tick %t; want %d ms, %t", c.at, left, tick, c.left, c.tick)
		}
	}
}
