package workload

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/kontiki-dev/kontiki/hack/lab/history"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// store does operations, and fills in the cluster's response. An absent key is no error; its number is 0.
type store interface {
	do(ctx context.Context, o *history.Operation) error
	// batch does several in one request, and returns an error or nil for each.
	batch(ctx context.Context, operations []*history.Operation) []error
}

// library is the cluster through node/client, which finds the leader and retries what certainly was not done.
type library struct{ client *client.Client }

func (l *library) do(ctx context.Context, o *history.Operation) error {
	if o.Stale {
		item, err := l.client.Get(ctx, o.Key, client.Consistency(api.Stale))
		if err == nil {
			o.Revision, o.Version = item.Revision, item.Version
			err = number(item.Value, &o.Value)
		}
		return present(err)
	}
	answer, err := l.client.Command(ctx, command(o))
	return fill(o, answer, err)
}

func (l *library) batch(ctx context.Context, operations []*history.Operation) []error {
	results, err := l.client.Batch(ctx, commands(operations))
	return fillAll(operations, results, err)
}

// command returns an operation as the API's command.
func command(o *history.Operation) api.Command {
	c := api.Command{Op: string(o.Kind), Key: o.Key}
	switch o.Kind {
	case history.Put:
		c.Op, c.Value = api.OpSet, text(o.Value)
	case history.CAS:
		c.Value, c.Expected = text(o.New), text(o.Expected)
		if o.Expected == 0 {
			c.Expected = json.RawMessage("null")
		}
	case history.Incr:
		c.By = json.Number(text(o.By))
	}
	return c
}

func text(n int64) json.RawMessage { return strconv.AppendInt(nil, n, 10) }

func commands(operations []*history.Operation) []api.Command {
	all := make([]api.Command, len(operations))
	for i, o := range operations {
		all[i] = command(o)
	}
	return all
}

// fill copies the response into the operation.
func fill(o *history.Operation, answer api.CommandResponse, err error) error {
	if err != nil {
		if o.Kind == history.Get {
			return present(err)
		}
		return err
	}
	switch o.Kind {
	case history.Put:
		o.Revision = answer.Index
	case history.Get:
		if answer.Record != nil {
			o.Revision, o.Version = answer.Record.ModRevision, answer.Record.Version
		}
		return number(answer.Result, &o.Value)
	case history.Incr:
		o.Revision = answer.Index
		return number(answer.Result, &o.Value)
	case history.CAS:
		var result api.CasResult
		if err := json.Unmarshal(answer.Result, &result); err != nil {
			return garbled(err)
		}
		if o.Swapped = result.Swapped; o.Swapped {
			o.Revision = answer.Index
			return nil
		}
		return number(result.Value, &o.Value)
	}
	return nil
}

func fillAll(operations []*history.Operation, results []api.BatchResult, err error) []error {
	errs := make([]error, len(operations))
	for i, o := range operations {
		switch {
		case err != nil:
			errs[i] = err
		case results[i].Error != nil:
			errs[i] = fill(o, api.CommandResponse{}, results[i].Error)
		default:
			errs[i] = fill(o, results[i].CommandResponse, nil)
		}
	}
	return errs
}

// present treats an absent key as a key with the number 0.
func present(err error) error {
	if api.ErrorCode(err) == api.CodeNotFound {
		return nil
	}
	return err
}

// number decodes a stored number; null stands for none.
func number(text []byte, into *int64) error {
	if err := json.Unmarshal(text, into); err != nil {
		return garbled(err)
	}
	return nil
}
