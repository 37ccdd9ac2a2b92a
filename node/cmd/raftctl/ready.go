package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// readyAnswer is the output of ready for one endpoint.
type readyAnswer struct {
	Endpoint string `json:"endpoint"`
	Ready    bool   `json:"ready"`
	Reason   string `json:"reason,omitempty"`
}

func (p *program) readyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ready",
		Short: "Check whether the nodes at the endpoints can serve",
		Long: `Ask each endpoint whether its node can serve, like a health check: the node has an
identity and a leader, and has applied what is committed. Exit code 7: one cannot
serve.`,
		Example: `  raftctl ready
  raftctl --endpoints http://127.0.0.1:8080 ready      a container's health check`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return p.showReady() },
	}
}

func (p *program) showReady() error {
	if p.curl {
		return p.printCurl(http.MethodGet, api.PathReady)
	}
	return p.withClient("", func(ctx context.Context, c *client.Client) error {
		ctx, cancel := context.WithTimeout(ctx, probeTime)
		defer cancel()
		var answers []readyAnswer
		var text, raw string
		ready := true
		for _, endpoint := range p.endpoints {
			a := readyAnswer{Endpoint: endpoint, Ready: true}
			if err := c.Readyz(ctx, endpoint); err != nil {
				a.Ready, a.Reason, ready = false, why(err), false
			}
			answers = append(answers, a)
			word := map[bool]string{true: "ready", false: "not ready: " + printable(a.Reason)}[a.Ready]
			text += fmt.Sprintf("%s  %s\n", endpoint, word)
			raw += fmt.Sprintln(a.Ready)
		}
		if err := p.printValue(answers, text, raw); err != nil {
			return err
		}
		if !ready {
			return &failure{code: exitUnhealthy}
		}
		return nil
	})
}

// why returns the reason why a node is not ready, without the code if the node itself reports it.
func why(err error) string {
	var e *api.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}
