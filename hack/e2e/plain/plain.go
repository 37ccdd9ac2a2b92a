// Package plain asks a node as curl would: each call is one HTTP request, and none is ever sent twice. Every error is
// a *api.Error, whose code says whether the request may have been done.
package plain

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
	"strconv"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// Client asks one node, or one Service. It may be used by several goroutines at once.
type Client struct {
	base string
	http *http.Client
}

// New makes a client of an endpoint like http://demo:8080. No request takes longer than timeout.
func New(endpoint string, timeout time.Duration) (*Client, error) {
	if u, err := url.Parse(endpoint); err != nil || u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("the endpoint %q must be a URL like http://demo:8080", endpoint)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	return &Client{
		base: strings.TrimSuffix(endpoint, "/"), http: &http.Client{Transport: transport, Timeout: timeout},
	}, nil
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Put stores a number under a key, as JSON.
func (c *Client) Put(ctx context.Context, key string, number int64) (api.PutResponse, error) {
	var answer api.PutResponse
	body := []byte(strconv.FormatInt(number, 10))
	err := c.ask(ctx, http.MethodPut, api.KeyPath(key), body, decode(&answer))
	return answer, err
}

// Get reads a key, with the query parameters of the contract; api.CodeNotFound if the key is absent.
func (c *Client) Get(ctx context.Context, key string, query url.Values) (api.Record, error) {
	path := api.KeyPath(key)
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	var record api.Record
	err := c.ask(ctx, http.MethodGet, path, nil, decode(&record))
	return record, err
}

// Command runs one command.
func (c *Client) Command(ctx context.Context, command api.Command) (api.CommandResponse, error) {
	var answer api.CommandResponse
	body, err := json.Marshal(command)
	if err != nil {
		return answer, invalid(err)
	}
	err = c.ask(ctx, http.MethodPost, api.PathCommand, body, decode(&answer))
	return answer, err
}

// Batch runs commands that do not depend on each other, and gives one result for each, in their order.
func (c *Client) Batch(ctx context.Context, commands []api.Command) ([]api.BatchResult, error) {
	var body bytes.Buffer
	lines := json.NewEncoder(&body)
	for i := range commands {
		if err := lines.Encode(&commands[i]); err != nil {
			return nil, invalid(err)
		}
	}
	results := make([]api.BatchResult, len(commands))
	err := c.ask(ctx, http.MethodPost, api.PathBatch, body.Bytes(), func(text []byte) error {
		answer := json.NewDecoder(bytes.NewReader(text))
		for i := range results {
			if err := answer.Decode(&results[i]); err != nil {
				return fmt.Errorf("line %d of %d: %w", i+1, len(results), err)
			}
		}
		return nil
	})
	return results, err
}

// ask makes one request. What may have been sent and has no answer is of unknown outcome (trap T49).
func (c *Client) ask(ctx context.Context, method, path string, body []byte, read func([]byte) error) error {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return invalid(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if path == api.PathBatch {
		request.Header.Set("Content-Type", "application/x-ndjson")
	}
	request.Header.Set("Accept", "application/json")
	response, err := c.http.Do(request)
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
		return Garbled(err)
	}
	return nil
}

func decode(into any) func([]byte) error {
	return func(text []byte) error { return json.Unmarshal(text, into) }
}

// lost makes an error of a request that failed below HTTP: nothing was done if there never was a connection.
func lost(err error) error {
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return &api.Error{Code: api.CodeUnreachable, Message: err.Error()}
	}
	return &api.Error{Code: api.CodeOutcomeUnknown, Message: err.Error()}
}

func invalid(err error) error { return &api.Error{Code: api.CodeInvalid, Message: err.Error()} }

// Garbled is the error of an answer that says success, and that nobody can read.
func Garbled(err error) error {
	return &api.Error{Code: api.CodeOutcomeUnknown, Message: "an answer that cannot be read: " + err.Error()}
}
