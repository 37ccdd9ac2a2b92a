package node_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// worded lists the folders and files whose words are checked, each folder with everything below it, or with a
// leading = only what is directly in it. Add a folder here once its text follows the style.
var worded = []string{
	"api",
	"=node",
	"node/api",
	"node/identity",
	"node/jsontext",
	"node/http1",
	"node/transport",
	"node/client",
	"node/entryjson",
	"node/divergence",
	"node/forward",
	"node/founding",
	"node/metrics",
	"node/observation",
	"node/plaintext",
	"node/watchdog",
	"node/address",
	"node/scheduler",
	"controllers/actor",
	"README.md",
	"controllers/objects",
	"node/budget",
	"node/cmd/raftnode",
	"node/kv",
	"node/raft",
	"node/storage",
	"node/rest",
	"node/client/clienttest",
	"node/cmd/raftsim",
	"node/sim",
	"CHANGELOG.md",
	"charts",
}

// forbidden are phrases that comments, string literals and documents must not contain, and what to write instead.
var forbidden = []struct {
	phrase  *regexp.Regexp
	instead string
}{
	{words(`nobody|somebody|everybody|anybody|whoever|someone|no one`), "name the actor: the node, the client"},
	{words(`(?:tells?|says?) whether`), "reports whether"},
	{words(`tells?|told|telling`), "reports, sends, returns or sets"},
	{words(`says?|said|saying`), "reports, states, prints or returns"},
	{words(`speaks?|spoke|speaking`), "carries, uses or contains"},
	{words(`hears?|heard`), "receives"},
	{words(`knows?|knew|knowing`), "has, records or supports; known and unknown are fine"},
	{words(`believes?|believed`), "accepts or assumes"},
	{words(`lives|lived|alive|lives? through|dies|died`), "runs, is running, stops, is unreachable, is removed"},
	{words(`office`), "leadership"},
	{words(`moot|fallen|sameness|deeds?`), "the standard term"},
	{words(`stor(?:y|ies)`), "run, scenario or test case"},
	{words(`promis(?:e|es|ed)`), "invariant or guarantee"},
	{words(`demands?`), "requires, needs or checks"},
	{words(`to the letter`), "exactly or completely"},
	{words(`strangers?`), "unidentified peer, or client"},
	{words(`for ever`), "permanently, or without limit"},
	{words(`under way`), "in progress or in flight"},
	{words(`in vain`), "without a result"},
	{words(`as ever|without a word`), "leave it out"},
}

// words returns an expression that matches whole words in any case.
func words(alternatives string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:^|[^\pL\pN_-])(` + alternatives + `)(?:$|[^\pL\pN_-])`)
}

// unworded are the files below worded whose text is not ours, or whose words are data.
var unworded = []string{"zz_generated.deepcopy.go", "node/sim/MUTANTS.md", "node/words_test.go"}

// literal are the folders below worded whose string literals are data, so that only comments are checked: names of
// invariants, which tables and seeds of old runs have, and the language of scenarios.
var literal = []string{"node/sim"}

func TestWords(t *testing.T) {
	t.Parallel()
	for _, name := range goFiles(t, "..") {
		if !isWorded(name) {
			continue
		}
		file := parse(t, name)
		texts := comments(file)
		if !within(literal, name) {
			texts = append(texts, literals(file)...)
		}
		for _, text := range texts {
			for _, fault := range faults(text) {
				t.Errorf("%s: %s", name, fault)
			}
		}
	}
	for _, name := range documents(t, "..") {
		if !isWorded(name) {
			continue
		}
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range faults(prose(string(text))) {
			t.Errorf("%s: %s", name, fault)
		}
	}
}

// The folders that are listed must exist, so that a renamed one is not forgotten.
func TestWordedFoldersExist(t *testing.T) {
	t.Parallel()
	for _, name := range worded {
		if _, err := os.Stat(filepath.Join("..", strings.TrimPrefix(name, "="))); err != nil {
			t.Error(err)
		}
	}
}

func TestPlantedWordsAreFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"isLeader tells whether the node leads.":    true,
		"Nobody waits for it.":                      true,
		"a leader loses its office":                 true,
		"the log says\nmore":                        true,
		"a run is the same, to the\nletter":         true,
		"the lifecycle of an officer, a saying-so":  false,
		"an unknown outcome, a known peer":          false,
		"the history of a directory, Compromised":   false,
		"Term returns the current term of the core": false,
	} {
		if got := faults(text); len(got) > 0 != want {
			t.Errorf("%q: got %v, want a fault: %t", text, got, want)
		}
	}

	file := parse(t, "node/words_test.go")
	found := strings.Join(append(comments(file), literals(file)...), "\n")
	for _, part := range []string{"worded lists the folders", "isLeader tells whether"} {
		if !strings.Contains(found, part) {
			t.Errorf("%q is not found", part)
		}
	}
	if text := prose("a `story` is\n```\nnobody\n```\ncode"); len(faults(text)) > 0 {
		t.Errorf("code is no prose: %q", text)
	}
}

func isWorded(name string) bool {
	for _, suffix := range unworded {
		if strings.HasSuffix(name, suffix) {
			return false
		}
	}
	return within(worded, name)
}

// within reports whether a file is one of the files, or in one of the folders, of a list: with a leading = directly in
// it.
func within(list []string, name string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		if folder, only := strings.CutPrefix(entry, "="); only {
			return path.Dir(name) == folder
		}
		return name == entry || strings.HasPrefix(name, entry+"/")
	})
}

// faults returns the forbidden phrases in a text, each with what to write instead.
func faults(text string) []string {
	var found []string
	text = strings.Join(strings.Fields(text), " ")
	for _, f := range forbidden {
		for _, m := range f.phrase.FindAllStringSubmatchIndex(text, -1) {
			around := text[max(0, m[2]-30):min(len(text), m[3]+30)]
			found = append(found, fmt.Sprintf("%q in %q: write %s", text[m[2]:m[3]], around, f.instead))
		}
	}
	return found
}

// comments returns the comments of a file, without quotations of the paper, which are between double quotation marks.
func comments(file *ast.File) []string {
	var texts []string
	for _, group := range file.Comments {
		texts = append(texts, quotation.ReplaceAllString(group.Text(), ""))
	}
	return texts
}

// literals returns the string literals of a file, without import paths and struct tags.
func literals(file *ast.File) []string {
	var texts []string
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			n.Tag = nil
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				if text, err := strconv.Unquote(n.Value); err == nil {
					texts = append(texts, text)
				}
			}
		}
		return true
	})
	return texts
}

var (
	quotation  = regexp.MustCompile(`(?s)"[^"]{40,}"`)
	codeBlock  = regexp.MustCompile("(?ms)^```.*?^```")
	inlineCode = regexp.MustCompile("`[^`\n]*`")
)

// prose returns a Markdown document without its code.
func prose(text string) string {
	return inlineCode.ReplaceAllString(codeBlock.ReplaceAllString(text, ""), "")
}

// documents lists the Markdown files below root.
func documents(t *testing.T, root string) []string {
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
		if strings.HasSuffix(base, ".md") {
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
