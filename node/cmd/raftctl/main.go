// Command raftctl is the command line client of a Kontiki cluster: see raftctl --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := &program{ctx: ctx, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}
	p.toTerminal, p.fromTerminal = isTerminal(p.stdout), isTerminal(p.stdin)
	code := p.run(os.Args[1:])
	stop()
	os.Exit(code)
}
