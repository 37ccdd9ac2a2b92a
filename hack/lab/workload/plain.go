package workload

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/hack/lab/history"
	"github.com/kontiki-dev/kontiki/node/api"
)

// plain sends requests to one node, or one Service, like curl: each call is one HTTP request, and none is sent twice.
// Every error is an *api.Error, whose code shows if the request may have been done.
type plain struct {
	base string
	http *http.Client
}

func newPlain(endpoint string) (*plain, error) {
	if u, err := url.Parse(endpoint); err != nil || u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("the endpoint %q must be a URL like http://demo:8080", endpoint)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	return &plain{
		base: strings.TrimSuffix(endpoint, "/"), http: &http.Client{Transport: transport, Timeout: timeout + time.Second},
	}, nil
}

func (p *plain) close() { p.http.CloseIdleConnections() }

func (p *plain) do(ctx context.Context, o *history.Operation) error {
	switch o.Kind {
	case history.Put:
		var answer api.PutResponse
		err := p.ask(ctx, http.MethodPut, api.KeyPath(o.Key), text(o.Value), decode(&answer))
		o.Revision = answer.Revision
		return err
	case history.Get:
		path := api.KeyPath(o.Key)
		if o.Stale {
			path += "?" + url.Values{api.ParamConsistency: {string(api.Stale)}}.Encode()
		}
		var record api.Record
		err := p.ask(ctx, http.MethodGet, path, nil, decode(&record))
		if err == nil {
			o.Revision, o.Version = record.ModRevision, record.Version
			err = number(record.Value, &o.Value)
		}
		return present(err)
	}
	body, err := json.Marshal(command(o))
	if err != nil {
		return invalid(err)
	}
	var answer api.CommandResponse
	err = p.ask(ctx, http.MethodPost, api.PathCommand, body, decode(&answer))
	return fill(o, answer, err)
}

func (p *plain) batch(ctx context.Context, operations []*history.Operation) []error {
	var body bytes.Buffer
	lines := json.NewEncoder(&body)
	for _, o := range operations {
		if err := lines.Encode(command(o)); err != nil {
			return fillAll(operations, nil, invalid(err))
		}
	}
	results := make([]api.BatchResult, len(operations))
	err := p.ask(ctx, http.MethodPost, api.PathBatch, body.Bytes(), func(text []byte) error {
		answer := json.NewDecoder(bytes.NewReader(text))
		for i := range results {
			if err := answer.Decode(&results[i]); err != nil {
				return fmt.Errorf("line %d of %d: %w", i+1, len(results), err)
			}
		}
		return nil
	})
	return fillAll(operations, results, err)
}

// ask sends one request. A request that may have been sent and has no response is of unknown outcome (trap T49).
func (p *plain) ask(ctx context.Context, method, path string, body []byte, read func([]byte) error) error {
	request, err := http.NewRequestWithContext(ctx, method, p.base+path, bytes.NewReader(body))
	if err != nil {
		return invalid(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if path == api.PathBatch {
		request.Header.Set("Content-Type", "application/x-ndjson")
	}
	request.Header.Set("Accept", "application/json")
	response, err := p.http.Do(request)
	if err != nil {
		return lost(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return lost(err)
	}
	if response.StatusCode != http.StatusOK {
		var refusal api.ErrorBody
		if err := json.Unmarshal(text, &refusal); err == nil && refusal.Error != nil {
			return refusal.Error
		}
		return &api.Error{Code: api.CodeOutcomeUnknown, Message: response.Status}
	}
	if err := read(text); err != nil {
		return garbled(err)
	}
	return nil
}

func decode(into any) func([]byte) error {
	return func(text []byte) error { return json.Unmarshal(text, into) }
}

// lost returns the error of a request that failed below HTTP: nothing was done if there never was a connection.
func lost(err error) error {
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return &api.Error{Code: api.CodeUnreachable, Message: err.Error()}
	}
	return &api.Error{Code: api.CodeOutcomeUnknown, Message: err.Error()}
}

func invalid(err error) error { return &api.Error{Code: api.CodeInvalid, Message: err.Error()} }

// garbled returns the error of a response that reports success and cannot be decoded.
func garbled(err error) error {
	return &api.Error{Code: api.CodeOutcomeUnknown, Message: "cannot decode the response: " + err.Error()}
}
