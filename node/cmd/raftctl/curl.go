package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/kontiki-dev/kontiki/node/api"
)

// printCurl writes the request that a command would send as a curl command line.
func (p *program) printCurl(method, path string, words ...string) error {
	line := []string{"curl"}
	if method != "GET" {
		line = append(line, "-X", method)
	}
	if bare, _, _ := strings.Cut(path, "?"); strings.HasSuffix(bare, "/.") || strings.HasSuffix(bare, "/..") {
		line = append(line, "--path-as-is") // otherwise curl resolves the dots in such a key like a file path
	}
	for _, w := range words {
		line = append(line, quote(w))
	}
	line = append(line, quote(p.firstURL()+path))
	return p.write(strings.Join(line, " ") + "\n")
}

// printCurlCommand writes the request of POST /api/command.
func (p *program) printCurlCommand(command api.Command) error {
	body, err := json.Marshal(command)
	if err != nil {
		return fmt.Errorf("the command cannot be encoded as JSON: %w", err)
	}
	return p.printCurl("POST", api.PathCommand, "--data-binary", string(body))
}

// firstURL returns the endpoint for the curl lines.
func (p *program) firstURL() string {
	url := strings.TrimRight(p.endpoints[0], "/")
	if !strings.Contains(url, "://") {
		url = "http://" + url
	}
	return url
}
