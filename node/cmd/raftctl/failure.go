package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// The exit codes, which longHelp documents.
const (
	exitOK           = 0
	exitFailed       = 1
	exitUsage        = 2
	exitNotFound     = 3
	exitPrecondition = 4
	exitUnreachable  = 5
	exitUnknown      = 6
	exitUnhealthy    = 7
	exitInterrupted  = 130
)

// failure is an error with what the user can do about it.
type failure struct {
	code    int
	message string   // what went wrong
	hints   []string // what the user can do now, one per line
	cause   error
}

func (f *failure) Error() string { return f.message }

// Unwrap returns the cause of the failure.
func (f *failure) Unwrap() error { return f.cause }

// usage returns the failure of a wrong command line.
func usage(format string, args ...any) error {
	return &failure{code: exitUsage, message: fmt.Sprintf(format, args...)}
}

// exitCode returns the exit code for an error code of a server or the client.
func exitCode(code api.Code) int {
	switch code {
	case api.CodeInvalid:
		return exitUsage
	case api.CodeNotFound:
		return exitNotFound
	case api.CodePreconditionFailed, api.CodeConflict:
		return exitPrecondition
	case api.CodeNoLeader, api.CodeNotReady, api.CodeUnreachable:
		return exitUnreachable
	case api.CodeOutcomeUnknown:
		return exitUnknown
	case api.CodeCanceled:
		return exitInterrupted
	}
	return exitFailed
}

// report prints the error of a command, and returns the exit code.
func (p *program) report(err error) int {
	if err == nil {
		return exitOK
	}
	var f *failure
	var e *api.Error
	switch {
	case errors.As(err, &f):
	case errors.As(err, &e):
		f = &failure{code: exitCode(e.Code), message: e.Message, cause: e}
	case p.running:
		f = &failure{code: exitFailed, message: err.Error(), cause: err}
	default: // from cobra: an unknown command
		f = &failure{code: exitUsage, message: err.Error(), hints: []string{"see: raftctl --help"}}
	}
	if errors.Is(p.ctx.Err(), context.Canceled) && f.code != exitUnknown {
		f.code = exitInterrupted
	}
	if f.message != "" {
		p.warn("error: %s\n", printable(f.message))
	}
	for _, hint := range f.hints {
		p.warn("  %s\n", printable(hint))
	}
	return f.code
}

// warn writes to stderr.
func (p *program) warn(format string, args ...any) { _, _ = fmt.Fprintf(p.stderr, format, args...) }

// mayTakeEffect describes an unknown outcome.
const mayTakeEffect = "it may or may not take effect"

// hintForeign is the hint for an endpoint where no node answers.
const hintForeign = "a proxy or another server is there, or it is a peer port; the API port is 8080"

// explain adds to the error of a request about a key what happened, which nodes were tried, and the next command.
func (p *program) explain(c *client.Client, key string, err error) error {
	var explained *failure
	var e *api.Error
	if errors.As(err, &explained) || !errors.As(err, &e) {
		return err
	}
	f := &failure{code: exitCode(e.Code), message: e.Message, cause: e}
	interrupted := errors.Is(p.ctx.Err(), context.Canceled)
	if interrupted && e.Code != api.CodeOutcomeUnknown {
		f.message = "interrupted"
		return f
	}
	switch e.Code {
	case api.CodeNotFound:
		if key != "" {
			f.message = "there is no key " + key
		}
	case api.CodeNoLeader, api.CodeUnreachable, api.CodeNotReady:
		p.diagnose(c, e, f)
	case api.CodeOutcomeUnknown:
		f.message = "outcome unknown, " + mayTakeEffect + ": " + e.Message
		if interrupted {
			f.message = "interrupted before the answer; " + mayTakeEffect
		} else if strings.Contains(e.Message, mayTakeEffect) {
			f.message = "outcome unknown: " + e.Message
		}
		if client.ForeignStatus(e) != "" {
			f.hints = append(f.hints, hintForeign)
		}
		if key != "" {
			f.hints = append(f.hints, "check before you repeat it: raftctl get "+quote(key))
		}
	case api.CodeQuotaExceeded:
		f.hints = append(f.hints, "nothing was done; reads and deletes work: raftctl del KEY, raftctl status")
	case api.CodeOverloaded:
		f.hints = append(f.hints, "nothing was done; try again later, or with --wait 30s")
	}
	return f
}

// diagnose asks every endpoint, and explains why none could serve.
func (p *program) diagnose(c *client.Client, e *api.Error, f *failure) {
	ctx, cancel := context.WithTimeout(p.ctx, probeTime)
	defer cancel()
	observations := c.Observe(ctx)
	var tried []string
	answers, voters, leader := 0, 0, uint64(0)
	foreign := ""
	for _, o := range observations {
		foreign = cmp.Or(foreign, client.ForeignStatus(o.Err))
		tried = append(tried, hostOf(o.Endpoint)+" ("+describe(o)+")")
		if o.View == nil {
			continue
		}
		answers++
		voters, leader = max(voters, votersOf(o.View.Config)), max(leader, o.View.LeaderID)
	}
	switch {
	case answers == 0 && foreign != "":
		f.message = "no node answered, but another server did: " + foreign + ". Tried " + strings.Join(tried, ", ")
		f.hints = append(f.hints, hintForeign)
	case answers == 0:
		f.message = "no node answers. Tried " + strings.Join(tried, ", ")
		f.hints = append(f.hints, "is the cluster running, and "+p.source+" right? It was "+strings.Join(p.endpoints, ","))
	case e.Code == api.CodeNotReady:
		f.message = e.Message + ". Tried " + strings.Join(tried, ", ")
	case e.Code == api.CodeNoLeader || leader == 0:
		f.message = "no leader. Tried " + strings.Join(tried, ", ")
	default:
		f.message = e.Message + ". Tried " + strings.Join(tried, ", ")
	}
	if voters > 0 && answers < voters/2+1 {
		f.hints = append(f.hints, fmt.Sprintf("%d of %d voters answer, %d are needed", answers, voters, voters/2+1))
	}
	if p.wait == 0 {
		f.hints = append(f.hints, "retry: raftctl "+p.again("--wait", "30s"))
	}
}

func votersOf(m api.Membership) int {
	n := 0
	for _, member := range m.Members {
		if member.Role != "learner" {
			n++
		}
	}
	return n
}

// describe summarizes the result of asking one endpoint.
func describe(o client.Observation) string {
	switch v := o.View; {
	case v == nil:
		return shortCause(o.Err)
	case v.State != "member" && v.NodeID == 0:
		return "waits to be bootstrapped"
	case v.State != "member":
		return fmt.Sprintf("node %d: waits for other members", v.NodeID)
	case v.LeaderID == 0:
		return fmt.Sprintf("node %d, term %d: no leader, election running", v.NodeID, v.Term)
	default:
		return fmt.Sprintf("node %d, term %d: reports that node %d leads", v.NodeID, v.Term, v.LeaderID)
	}
}

// shortCause returns the reason why a node could not be asked, without the addresses around it.
func shortCause(err error) string {
	var dns *net.DNSError
	var network net.Error
	var e *api.Error
	if status := client.ForeignStatus(err); status != "" {
		return "not a node's answer: " + status
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &dns):
		return "no such host"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return fmt.Sprintf("no answer in %v", probeTime)
	case errors.As(err, &e):
		return e.Message
	}
	return fmt.Sprint(err)
}

// again returns the arguments of this run with additional ones, as the user would type them.
func (p *program) again(more ...string) string {
	return words(append(slices.Clone(p.args), more...))
}

// words quotes a command line for a shell.
func words(args []string) string {
	var quoted []string
	for _, arg := range args {
		quoted = append(quoted, quote(arg))
	}
	return strings.Join(quoted, " ")
}

// quote quotes a word for a shell.
func quote(word string) string {
	plain := func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_", r)
	}
	if word != "" && strings.IndexFunc(word, plain) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// hostOf returns host:port of an endpoint, for a message.
func hostOf(endpoint string) string {
	if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
		return u.Host
	}
	return endpoint
}
