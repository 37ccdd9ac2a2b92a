package main

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

	"github.com/kontiki-dev/kontiki/node/client"
)

// store is a cluster as a client sees it: numbers under keys, 0 where there is none. Every error is a *client.Error.
type store interface {
	put(ctx context.Context, key string, number int64) error
	get(ctx context.Context, key string) (int64, error)
	// cas tells whether it swapped, and if not what it found.
	cas(ctx context.Context, key string, expected, number int64) (bool, int64, error)
	close()
}

// library is the store through node/client, as a program in Go would use it.
type library struct{ client *client.Client }

func newLibrary(endpoint string) (*library, error) {
	c, err := client.New(client.Config{Endpoints: []string{endpoint}})
	if err != nil {
		return nil, err
	}
	return &library{client: c}, nil
}

func (l *library) close() { l.client.Close() }

func (l *library) put(ctx context.Context, key string, number int64) error {
	_, err := l.client.Set(ctx, key, number)
	return err
}

func (l *library) get(ctx context.Context, key string) (int64, error) {
	item, err := l.client.Get(ctx, key)
	switch {
	case client.ErrorCode(err) == client.CodeNotFound:
		return 0, nil
	case err != nil:
		return 0, err
	}
	return parse(item.Value)
}

func (l *library) cas(ctx context.Context, key string, expected, number int64) (bool, int64, error) {
	r, err := l.client.CAS(ctx, key, orNull(expected), number)
	if err != nil || r.Swapped {
		return r.Swapped, 0, err
	}
	found, err := parse(r.Value)
	return false, found, err
}

// plain is the store through the Service, one HTTP request each, as a program in any language would use it. It never
// sends a request twice.
type plain struct {
	base string
	http *http.Client
}

func newPlain(endpoint string) (*plain, error) {
	if u, err := url.Parse(endpoint); err != nil || u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("--endpoint %q must be a URL like http://demo:8080", endpoint)
	}
	return &plain{base: strings.TrimSuffix(endpoint, "/"), http: &http.Client{Timeout: timeout}}, nil
}

func (p *plain) close() { p.http.CloseIdleConnections() }

func (p *plain) put(ctx context.Context, key string, number int64) error {
	body := strconv.FormatInt(number, 10)
	return p.ask(ctx, http.MethodPut, client.KeyPath(key), []byte(body), &client.PutResponse{})
}

func (p *plain) get(ctx context.Context, key string) (int64, error) {
	var number int64
	err := p.ask(ctx, http.MethodGet, client.KeyPath(key), nil, &number)
	if client.ErrorCode(err) == client.CodeNotFound {
		return 0, nil
	}
	return number, err
}

func (p *plain) cas(ctx context.Context, key string, expected, number int64) (bool, int64, error) {
	wanted, err := json.Marshal(orNull(expected))
	if err != nil {
		return false, 0, invalid(err)
	}
	command := client.Command{
		Op: client.OpCas, Key: key, Expected: wanted, Value: json.RawMessage(strconv.FormatInt(number, 10)),
	}
	body, err := json.Marshal(command)
	if err != nil {
		return false, 0, invalid(err)
	}
	var answer client.CommandResponse
	if err := p.ask(ctx, http.MethodPost, client.PathCommand, body, &answer); err != nil {
		return false, 0, err
	}
	var result client.CasResult
	if err := json.Unmarshal(answer.Result, &result); err != nil {
		return false, 0, garbled(err)
	}
	if result.Swapped {
		return true, 0, nil
	}
	found, err := parse(result.Value)
	return false, found, err
}

// ask makes one request. What may have been sent and has no answer is of unknown outcome.
func (p *plain) ask(ctx context.Context, method, path string, body []byte, result any) error {
	request, err := http.NewRequestWithContext(ctx, method, p.base+path, bytes.NewReader(body))
	if err != nil {
		return invalid(err)
	}
	request.Header.Set("Content-Type", "application/json")
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
		var refusal client.ErrorBody
		if err := json.Unmarshal(text, &refusal); err == nil && refusal.Error != nil {
			return refusal.Error
		}
		return &client.Error{Code: client.CodeOf(response.StatusCode), Message: response.Status}
	}
	if err := json.Unmarshal(text, result); err != nil {
		return garbled(err)
	}
	return nil
}

// lost makes an error of a request that failed below HTTP: nothing was done if there never was a connection.
func lost(err error) error {
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return &client.Error{Code: client.CodeUnreachable, Message: err.Error()}
	}
	return &client.Error{Code: client.CodeOutcomeUnknown, Message: err.Error()}
}

func invalid(err error) error { return &client.Error{Code: client.CodeInvalid, Message: err.Error()} }

// garbled is an answer that says success, and that nobody can read.
func garbled(err error) error {
	return &client.Error{Code: client.CodeOutcomeUnknown, Message: "an answer that cannot be read: " + err.Error()}
}

// parse reads a stored number; null stands for none.
func parse(text []byte) (int64, error) {
	var number int64
	if err := json.Unmarshal(text, &number); err != nil {
		return 0, garbled(err)
	}
	return number, nil
}

// orNull is how an expectation is written: no number is null.
func orNull(number int64) any {
	if number == 0 {
		return nil
	}
	return number
}
