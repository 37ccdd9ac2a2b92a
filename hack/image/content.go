package main

import (
	"errors"
	"fmt"
	"path/filepath"
)

// user is the user and group that the programs run as.
const user = 65532

// content is the files and the configuration of an image.
type content struct {
	programs []string // files; the first is the entry point
	command  []string // the default arguments
	ports    []int
	data     string // a volume that belongs to user, or ""
}

// targets are the product's images, by their stage in the Dockerfile. A test compares them with it.
var targets = map[string]content{
	"node": {
		programs: []string{"raftnode", "raftctl"},
		command:  []string{"local", "--nodes", "5", "--data-dir", "/data", "--listen", "0.0.0.0:8080"},
		ports:    []int{8080, 8081, 8082, 8083, 8084, 7080},
		data:     "/data",
	},
	"operator": {programs: []string{"manager"}, ports: []int{8081, 8443}},
}

// contentOf returns what the command line requests: a target with its programs from one directory, or programs.
func contentOf(target string, args []string) (content, error) {
	if target == "" {
		if len(args) == 0 {
			return content{}, errors.New("no program is given")
		}
		return content{programs: args}, nil
	}
	c, known := targets[target]
	if !known || len(args) != 1 {
		return content{}, fmt.Errorf("-target %q with %d directories; want node or operator, with one directory",
			target, len(args))
	}
	files := make([]string, len(c.programs))
	for i, program := range c.programs {
		files[i] = filepath.Join(args[0], program)
	}
	c.programs = files
	return c, nil
}
