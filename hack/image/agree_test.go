package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"go.yaml.in/yaml/v3"
)

// stage is one image in the Dockerfile.
type stage struct {
	built      string   // the stage that its programs are copied from
	sources    []string // the folders of the repository that it copies
	user       string
	ports      []int
	entrypoint []string
	command    []string
	volume     string
}

// dockerfile reads the stages of the Dockerfile, and the programs that each builds.
func dockerfile(t *testing.T) (stages map[string]*stage, programs map[string][]string) {
	t.Helper()
	f, err := os.Open("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	parsed, err := parser.Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	stages, programs = map[string]*stage{}, map[string][]string{}
	var name string
	for _, instruction := range parsed.AST.Children {
		var words []string
		for n := instruction.Next; n != nil; n = n.Next {
			words = append(words, n.Value)
		}
		switch s := stages[name]; strings.ToUpper(instruction.Value) {
		case "FROM":
			name = words[len(words)-1]
			stages[name] = &stage{}
		case "COPY":
			if slices.Contains(instruction.Flags, "--from=build-"+name) && words[0] == "/out/" {
				s.built = "build-" + name
			}
			if len(instruction.Flags) == 0 {
				s.sources = append(s.sources, words[:len(words)-1]...)
			}
		case "RUN":
			for word := range strings.FieldsSeq(words[0]) {
				if strings.HasPrefix(word, "./") {
					programs[name] = append(programs[name], filepath.Base(word))
				}
			}
		case "USER":
			s.user = words[0]
		case "EXPOSE":
			for _, word := range words {
				port, err := strconv.Atoi(word)
				if err != nil {
					t.Fatal(err)
				}
				s.ports = append(s.ports, port)
			}
		case "ENTRYPOINT":
			s.entrypoint = words
		case "CMD":
			s.command = words
		case "VOLUME":
			s.volume = words[0]
		}
	}
	return stages, programs
}

func TestTheDockerfileAndThisToolMakeTheSameImages(t *testing.T) {
	t.Parallel()
	stages, programs := dockerfile(t)
	for target, c := range targets {
		s := stages[target]
		if s == nil {
			t.Errorf("the Dockerfile has no stage %s", target)
			continue
		}
		if got := programs[s.built]; !slices.Equal(got, c.programs) {
			t.Errorf("%s: the Dockerfile builds %v, this tool packs %v", target, got, c.programs)
		}
		config := packed(t, target)
		ports := slices.Sorted(maps.Keys(config.ExposedPorts))
		var want []string
		for _, port := range s.ports {
			want = append(want, fmt.Sprintf("%d/tcp", port))
		}
		slices.Sort(want)
		_, hasVolume := config.Volumes[s.volume]
		if config.User != s.user || !slices.Equal(config.Entrypoint, s.entrypoint) ||
			!slices.Equal(config.Cmd, s.command) || !slices.Equal(ports, want) ||
			hasVolume != (s.volume != "") || len(config.Volumes) > 1 {
			t.Errorf("%s: this tool packs %+v, the Dockerfile has %+v", target, config, *s)
		}
	}
}

// packed makes the image of a target from empty programs, and returns its configuration.
func packed(t *testing.T, target string) v1.Config {
	t.Helper()
	dir := t.TempDir()
	for _, program := range targets[target].programs {
		if err := os.WriteFile(filepath.Join(dir, program), []byte(program), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := contentOf(target, []string{dir})
	if err != nil {
		t.Fatal(err)
	}
	image, err := build("amd64", c)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return config.Config
}

func TestComposeFitsTheImage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Image       string
			Build       *struct{ Context, Target string }
			User        string
			Entrypoint  []string
			Command     []string
			Ports       []string
			Volumes     []string
			Healthcheck struct{ Test []string }
		}
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	node, built := targets["node"], 0
	for name, s := range compose.Services {
		if s.Build != nil {
			built++
			if s.Build.Target != "node" || filepath.Join("../compose", s.Build.Context) != "../.." {
				t.Errorf("%s builds %+v", name, *s.Build)
			}
		}
		if s.Image != compose.Services["node1"].Image || s.User != "" || s.Entrypoint != nil ||
			s.Command[0] != "serve" {
			t.Errorf("%s does not run the image unchanged: %+v", name, s)
		}
		if !slices.Contains(s.Command, "--allowed-host="+name) {
			t.Errorf("%s accepts any Host header", name)
		}
		_, port, _ := strings.Cut(strings.TrimPrefix(s.Ports[0], "127.0.0.1:"), ":")
		if number, err := strconv.Atoi(port); err != nil || !slices.Contains(node.ports, number) ||
			!slices.Contains(s.Command, "--listen-api=0.0.0.0:"+port) || !strings.HasPrefix(s.Ports[0], "127.0.0.1:") {
			t.Errorf("%s publishes %v", name, s.Ports)
		}
		if len(s.Volumes) != 1 || !strings.HasSuffix(s.Volumes[0], ":"+node.data) ||
			!slices.Contains(s.Command, "--data-dir="+node.data) {
			t.Errorf("%s keeps its data in %v", name, s.Volumes)
		}
		if program := strings.TrimPrefix(s.Healthcheck.Test[1], "/"); !slices.Contains(node.programs, program) {
			t.Errorf("the health check of %s runs %s, which the image does not have", name, program)
		}
	}
	if built != 1 || len(compose.Services) != 5 {
		t.Errorf("%d of %d services build the image: it has one tag, so one must", built, len(compose.Services))
	}
}

func TestTheDockerfileCopiesWhatItsProgramsImport(t *testing.T) {
	t.Parallel()
	const module = "github.com/kontiki-dev/kontiki/"
	stages, _ := dockerfile(t)
	for name, program := range map[string]string{
		"build-operator": "./controllers/cmd/manager", "build-node": "./node/cmd/raftnode",
	} {
		list := exec.Command("go", "list", "-deps", program)
		list.Dir = "../.."
		packages, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		for imported := range strings.FieldsSeq(string(packages)) {
			folder, ours := strings.CutPrefix(imported, module)
			isCopied := func(source string) bool { return folder == source || strings.HasPrefix(folder, source+"/") }
			if ours && !slices.ContainsFunc(stages[name].sources, isCopied) {
				t.Errorf("%s builds %s, which imports %s, and copies only %v", name, program, folder, stages[name].sources)
			}
		}
	}
}
