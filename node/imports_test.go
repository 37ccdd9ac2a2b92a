package node_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module   = "github.com/kontiki-dev/kontiki"
	linesMax = 500
	// A test is read one case at a time, so its file may be longer.
	linesMaxTest = 800
)

// law has what the packages below a folder may import. The longest folder that fits a package rules it.
type law struct {
	folder string
	// ours lists the folders of this module that may be imported, each with everything below it, or with a
	// leading = only itself. Packages under the same law may always import each other.
	ours []string
	// testsToo are allowed to the tests of the folder, in addition.
	testsToo []string
	// stdOnly forbids modules of others.
	stdOnly bool
	// theirs lists, for a package that may import modules of others, the prefixes of the only ones; empty: any.
	theirs []string
	// pure forbids clocks, I/O, goroutines, loggers and global randomness: what would make two runs differ.
	pure bool
	// times allows a pure package the values of package time. Its clock is an argument all the same.
	times bool
}

// everyNode is for the programs, which wire everything together, and for tests of whole nodes.
var everyNode = []string{"node"}

var laws = []law{
	{folder: "node/raft", stdOnly: true, pure: true},
	{folder: "node/jsontext", stdOnly: true, pure: true},
	{folder: "node/kv", ours: []string{"node/jsontext"}, pure: true},
	{folder: "node/entryjson", ours: []string{"node/raft", "node/jsontext"}, stdOnly: true, pure: true},
	{folder: "node/api", stdOnly: true},
	{folder: "node/http1", stdOnly: true},
	{folder: "node/scheduler", stdOnly: true},
	{folder: "node/address", stdOnly: true},
	{folder: "node/identity", ours: []string{"node/raft", "node/address"}, stdOnly: true, pure: true},
	{folder: "node/plaintext", stdOnly: true, pure: true},
	{folder: "node/metrics", ours: []string{"node/raft", "node/api", "node/identity"}},
	{folder: "node/watchdog", ours: []string{"node/raft", "node/scheduler"}, stdOnly: true},
	{folder: "node/forward", ours: []string{"node/raft", "node/scheduler"}, stdOnly: true},
	{
		folder: "node/divergence", ours: []string{"node/raft", "node/identity"}, testsToo: []string{"node/entryjson"},
		stdOnly: true, pure: true, times: true,
	},
	{folder: "node/room", pure: true},
	{folder: "node/compaction", ours: []string{"node/raft"}, stdOnly: true, pure: true, times: true},
	{folder: "node/snapshot", ours: []string{"node/raft", "node/kv"}, stdOnly: true, pure: true},
	{folder: "node/snapshot/snapshottest", ours: []string{"node/snapshot", "node/raft", "node/kv"}, stdOnly: true},
	{folder: "node/founding", ours: []string{"node/raft", "node/api", "node/scheduler", "node/identity"}, stdOnly: true},
	{folder: "node/observation", ours: []string{
		"node/raft", "node/api", "node/scheduler", "node/address", "node/identity", "node/plaintext", "node/metrics",
	}},
	{
		folder: "node",
		ours: []string{
			"node/raft", "node/kv", "node/api", "node/scheduler", "node/identity", "node/entryjson", "node/metrics",
			"node/observation", "node/founding", "node/watchdog", "node/forward", "node/divergence", "node/compaction",
			"node/snapshot", "node/room",
		},
		testsToo: everyNode,
	},
	{folder: "node/storage/sqlitefile", stdOnly: true, pure: true},
	{
		folder: "node/storage", ours: []string{
			"node/raft", "node/entryjson", "node/kv", "node/snapshot", "node/storage/sqlitefile",
		},
		testsToo: []string{"=node"},
	},
	{
		folder: "node/backup", ours: []string{"node/raft", "node/identity", "node/snapshot", "node/storage"},
		testsToo: everyNode,
	},
	{
		folder:   "node/recovery",
		ours:     []string{"node/raft", "node/entryjson", "node/identity", "node/snapshot", "node/storage"},
		testsToo: everyNode,
	},
	{folder: "node/budget"},
	{folder: "node/transport", ours: []string{
		"=node", "node/raft", "node/kv", "node/api", "node/budget", "node/jsontext", "node/address", "node/identity",
		"node/http1", "node/entryjson", "node/plaintext", "node/divergence", "node/snapshot",
	}},
	{folder: "node/dashboard", stdOnly: true},
	{
		folder: "node/client", ours: []string{"node/api", "node/jsontext", "node/http1"}, stdOnly: true,
		testsToo: []string{"node/client/clienttest", "node/snapshot/snapshottest"},
	},
	{
		folder: "node/client/clienttest",
		ours: []string{
			"=node", "node/raft", "node/kv", "node/api", "node/rest", "node/identity", "node/snapshot",
		},
	},
	{folder: "node/rest", ours: []string{
		"=node", "node/raft", "node/kv", "node/api", "node/budget", "node/jsontext", "node/address", "node/identity",
		"node/entryjson", "node/observation", "node/snapshot",
	}},
	{folder: "node/sim/engine", ours: []string{
		"=node", "node/raft", "node/kv", "node/scheduler", "node/identity", "node/entryjson",
		"node/divergence", "node/snapshot", "node/compaction", "node/room", "node/api",
	}},
	{
		folder: "node/sim/check", ours: []string{
			"=node", "node/raft", "node/kv", "node/entryjson", "node/snapshot", "node/sim/engine",
		},
	},
	{folder: "node/sim", ours: []string{
		"=node", "node/raft", "node/kv", "node/scheduler", "node/identity", "node/divergence", "node/compaction",
		"node/snapshot", "node/api", "node/sim/engine", "node/sim/check",
	}},
	{folder: "node/sim/scenario", ours: []string{
		"=node", "node/raft", "node/kv", "node/sim/engine", "node/sim/check", "=node/sim",
	}},
	{folder: "node/sim/regressions", testsToo: []string{"=node/sim"}},
	{folder: "node/sim/mutants"},
	{
		folder: "node/cmd/raftctl",
		ours: []string{
			"node/api", "=node/client", "node/backup", "node/identity", "node/recovery", "node/address",
		},
		testsToo: everyNode,
	},
	{folder: "node/cmd", ours: everyNode, testsToo: []string{"hack/ports"}},
	{folder: "api"},
	{folder: "controllers/objects", ours: []string{"api"}},
	{
		folder: "controllers/decide", ours: []string{"api", "controllers/objects", "node/api"},
		testsToo: []string{"controllers/actor"}, theirs: []string{"k8s.io/api/", "k8s.io/apimachinery/"},
		pure: true, times: true,
	},
	{folder: "controllers/actor", ours: []string{"api", "controllers/objects", "controllers/decide", "node/api"}},
	{
		folder: "controllers",
		ours:   []string{"api", "controllers/objects", "controllers/decide", "controllers/actor", "node/api", "=node/client"},
	},
	{folder: "controllers/cmd", ours: []string{"api", "=controllers", "=node/client"}},
	{folder: "hack/ports", stdOnly: true},
}

// impure are the standard packages that a pure package must not import.
var impure = []string{
	"context", "crypto/rand", "io/fs", "io/ioutil", "log", "math/rand", "net", "os", "runtime", "sync", "syscall", "time",
	"unsafe",
}

// clocks are what of package time reads the clock, or waits for it.
var clocks = []string{
	"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Local", "LoadLocation",
}

// seeded is what of math/rand/v2 takes its randomness from a source that it is given.
var seeded = []string{"New", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "PCG", "ChaCha8", "Zipf"}

func TestImportLaw(t *testing.T) { // design section 3
	t.Parallel()
	for _, name := range goFiles(t, "..") {
		if strings.HasPrefix(name, "hack/") && !strings.HasPrefix(name, "hack/ports/") {
			continue // modules of their own
		}
		file := parse(t, name)
		l, ok := lawFor(path.Dir(name))
		if !ok {
			t.Errorf("%s: no import law for this folder; design section 3 lists the folders", name)
			continue
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if reason := l.forbids(imported, isTest(name)); reason != "" {
				t.Errorf("%s imports %s: %s", name, imported, reason)
			}
		}
	}
}

func TestTheLawForbidsWhatItSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		folder, imported string
		test, allowed    bool
	}{
		{folder: "node/raft", imported: "slices", allowed: true},
		{folder: "node/raft", imported: "math/rand/v2", allowed: true},
		{folder: "node/raft", imported: "math/rand"},
		{folder: "node/raft", imported: "time"},
		{folder: "node/raft", imported: "time", test: true, allowed: true},
		{folder: "node/kv", imported: "log/slog"},
		{folder: "node/kv", imported: "sync/atomic"},
		{folder: "node/kv", imported: module + "/node/raft"},
		{folder: "node", imported: module + "/node/raft", allowed: true},
		{folder: "node/scheduler", imported: module + "/node"},
		{folder: "node/identity", imported: module + "/node"},
		{folder: "node/identity", imported: "time"},
		{folder: "node", imported: module + "/node/storage"},
		{folder: "node", imported: module + "/node/storage", test: true, allowed: true},
		{folder: "node/rest", imported: module + "/node", allowed: true},
		{folder: "node/rest", imported: module + "/node/storage"},
		{folder: "node/storage", imported: module + "/node/transport"},
		{folder: "node/client", imported: "github.com/google/uuid"},
		{folder: "node/client", imported: module + "/node/api", allowed: true},
		{folder: "node/api", imported: module + "/node/raft"},
		{folder: "node/http1", imported: module + "/node/budget"},
		{folder: "node/client", imported: module + "/node/http1", allowed: true},
		{folder: "node/cmd/raftctl", imported: module + "/node/storage"},
		{folder: "node/cmd/raftctl", imported: module + "/node/backup", allowed: true},
		{folder: "node/backup", imported: module + "/node"},
		{folder: "controllers", imported: module + "/node/client", allowed: true},
		{folder: "controllers", imported: module + "/node/raft"},
		{folder: "controllers", imported: "sigs.k8s.io/controller-runtime/pkg/client", allowed: true},
		{folder: "controllers/decide", imported: module + "/controllers/objects", allowed: true},
		{folder: "controllers/decide", imported: module + "/controllers"},
		{folder: "controllers/decide", imported: module + "/controllers/actor"},
		{folder: "controllers/decide", imported: module + "/controllers/actor", test: true, allowed: true},
		{folder: "controllers/decide", imported: "k8s.io/api/core/v1", allowed: true},
		{folder: "controllers/decide", imported: "sigs.k8s.io/controller-runtime/pkg/client"},
		{folder: "controllers/decide", imported: "k8s.io/client-go/kubernetes"},
		{folder: "controllers/decide", imported: "time", allowed: true},
		{folder: "controllers/decide", imported: "context"},
		{folder: "controllers/decide", imported: "net/url", allowed: true},
		{folder: "controllers/decide", imported: "net/http"},
		{folder: "controllers/decide", imported: "sync"},
		{folder: "node/sim", imported: module + "/api/v1alpha1"},
		{folder: "node/sim", imported: module + "/node/sim/engine", allowed: true},
		{folder: "node/sim", imported: module + "/node/sim/scenario"},
		{folder: "node/sim/engine", imported: module + "/node/sim/check"},
		{folder: "node/sim/engine", imported: module + "/node/sim/check", test: true},
		{folder: "node/sim/engine", imported: module + "/node/sim/scenario"},
		{folder: "node/sim/engine", imported: module + "/node/sim"},
		{folder: "node/sim/check", imported: module + "/node/sim/engine", allowed: true},
		{folder: "node/sim/check", imported: module + "/node/sim"},
		{folder: "node/sim/scenario", imported: module + "/node/sim", allowed: true},
	} {
		l, _ := lawFor(c.folder)
		if reason := l.forbids(c.imported, c.test); (reason == "") != c.allowed {
			t.Errorf("%s importing %s (test: %t): got %q, allowed should be %t", c.folder, c.imported, c.test, reason, c.allowed)
		}
	}
}

func TestPurePackagesStartNoGoroutineAndDrawNoGlobalRandomness(t *testing.T) { // one seed replays a run
	t.Parallel()
	for _, name := range goFiles(t, "..") {
		if l, _ := lawFor(path.Dir(name)); !l.pure || isTest(name) {
			continue
		}
		rand, clock := importName(parse(t, name), "math/rand/v2"), importName(parse(t, name), "time")
		ast.Inspect(parse(t, name), func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine; a pure package runs on its caller's", name)
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				if ok && rand != "" && x.Name == rand && !slices.Contains(seeded, n.Sel.Name) {
					t.Errorf("%s uses the global rand.%s; draw from a *rand.Rand made from the seed", name, n.Sel.Name)
				}
				if ok && clock != "" && x.Name == clock && slices.Contains(clocks, n.Sel.Name) {
					t.Errorf("%s uses time.%s; the clock of a pure package is an argument", name, n.Sel.Name)
				}
			}
			return true
		})
	}
}

// `make race` leaves out what starts no goroutine.
func TestTheRaceDetectorRunsWhereGoroutinesMayBe(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var pure []string
	for _, l := range laws {
		if l.pure {
			pure = append(pure, l.folder)
		}
	}
	slices.Sort(pure)
	if want := "\nPURE := " + strings.Join(pure, " ") + "\n"; !strings.Contains(string(makefile), want) {
		t.Errorf("Makefile should have the line %q", strings.TrimSpace(want))
	}
}

func TestNothingUnderNodeReachesKubernetes(t *testing.T) { // not even through a module of others
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dep := range strings.Lines(string(out)) {
		for _, kubernetes := range []string{"k8s.io/", "sigs.k8s.io/", module + "/api/", module + "/controllers/"} {
			if strings.HasPrefix(dep, kubernetes) {
				t.Errorf("a package under node/ depends on %s", strings.TrimSpace(dep))
			}
		}
	}
}

func TestFilesStayShort(t *testing.T) { // design section 3
	t.Parallel()
	for _, name := range goFiles(t, "..") {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		most := linesMax
		if isTest(name) {
			most = linesMaxTest
		}
		if lines := bytes.Count(text, []byte("\n")); lines > most && !ast.IsGenerated(parse(t, name)) {
			t.Errorf("%s has %d lines, more than %d: give one of the things in it a file of its own", name, lines, most)
		}
	}
}

func TestTopLevelIsTheHouse(t *testing.T) { // design section 3, contract
	t.Parallel()
	house := []string{
		"api", "controllers", "node", "config", "charts", "hack", "Dockerfile", "go.mod", "go.sum", "Makefile",
		"PROJECT", "README.md", "LICENSE", "CHANGELOG.md",
	}
	ignore, err := os.ReadFile("../.gitignore")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasPrefix(name, ".") && !slices.Contains(house, name) && !ignored(name, string(ignore)) {
			t.Errorf("%s at the top level: only %s and dotfiles belong there", name, strings.Join(house, ", "))
		}
	}
}

// forbids returns why a file under the law must not import a package, or "" if it may.
func (l law) forbids(imported string, test bool) string {
	ours, isOurs := strings.CutPrefix(imported, module+"/")
	switch {
	case isOurs:
		allowed := slices.Clone(l.ours)
		if test {
			allowed = append(allowed, l.testsToo...)
		}
		if other, _ := lawFor(ours); other.folder == l.folder {
			return ""
		}
		if slices.ContainsFunc(allowed, func(a string) bool { return covers(a, ours) }) {
			return ""
		}
		return fmt.Sprintf("%s may import of ours only %v", l.folder, l.ours)
	case strings.Contains(strings.Split(imported, "/")[0], "."):
		if l.stdOnly && !test {
			return l.folder + " may import only the standard library"
		}
		theirs := func(prefix string) bool { return strings.HasPrefix(imported, prefix) }
		if len(l.theirs) > 0 && !test && !slices.ContainsFunc(l.theirs, theirs) {
			return fmt.Sprintf("%s may import of others only what is below %v", l.folder, l.theirs)
		}
	case l.pure && !test && isImpure(imported) && (!l.times || imported != "time"):
		return l.folder + " is a function of its inputs: no clock, I/O, goroutine, logger or global randomness"
	}
	return ""
}

// isImpure reports whether a standard package is one of impure, or below one, as log/slog is. Two are let through:
// math/rand/v2, because it has a Rand that is made from a seed, and net/url, because it only parses.
func isImpure(imported string) bool {
	return imported != "math/rand/v2" && imported != "net/url" &&
		slices.ContainsFunc(impure, func(p string) bool { return covers(p, imported) })
}

// covers reports whether an allowed folder covers a package: with a leading = only that very one.
func covers(allowed, ours string) bool {
	if exact, ok := strings.CutPrefix(allowed, "="); ok {
		return ours == exact
	}
	return ours == allowed || strings.HasPrefix(ours, allowed+"/")
}

// lawFor finds the law that rules a folder.
func lawFor(folder string) (law, bool) {
	var found law
	for _, l := range laws {
		if covers(l.folder, folder) && len(l.folder) > len(found.folder) {
			found = l
		}
	}
	return found, found.folder != ""
}

// goFiles lists the Go files below root that Go would build, relative to it.
func goFiles(t *testing.T, root string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() && name != root && (strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(base, ".go") {
			relative, err := filepath.Rel(root, name)
			names = append(names, filepath.ToSlash(relative))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func parse(t *testing.T, name string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", name), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// importName is the name that a file has for a package, "" if it does not import it.
func importName(file *ast.File, imported string) string {
	for _, spec := range file.Imports {
		if spec.Path.Value == strconv.Quote(imported) {
			if spec.Name != nil {
				return spec.Name.Name
			}
			return path.Base(strings.TrimSuffix(imported, "/v2"))
		}
	}
	return ""
}

func isTest(name string) bool { return strings.HasSuffix(name, "_test.go") }

// ignored reports whether .gitignore names something at the top level.
func ignored(name, gitignore string) bool {
	for line := range strings.Lines(gitignore) {
		pattern := strings.Trim(strings.TrimSpace(line), "/")
		if ok, err := path.Match(pattern, name); err == nil && ok {
			return true
		}
	}
	return false
}
