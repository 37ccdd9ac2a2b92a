package rest

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"

	"github.com/kontiki-dev/kontiki/node/kv"
)

// The node's types and the contract's are two, because node/client imports the standard library only. These
// tests keep them one in JSON.

func TestTheContractAndTheNodeCannotDrift(t *testing.T) {
	t.Parallel()
	var status node.ClusterStatus
	fill(reflect.ValueOf(&status).Elem())
	for i := range status.Nodes {
		status.Nodes[i].Events = nil // told to peers only
	}
	sameJSON[api.ClusterStatus](t, status)

	var event node.ObservedEvent
	fill(reflect.ValueOf(&event).Elem())
	sameJSON[api.ObservedEvent](t, event)

	var config node.Config
	fill(reflect.ValueOf(&config).Elem())
	sameJSON[api.Membership](t, config)
	if got, want := configOf(config), asJSON(t, config); asJSON(t, got) != want {
		t.Errorf("configOf gives %s, want %s", asJSON(t, got), want)
	}
	if api.MaxValueBytes != kv.MaxValueBytes {
		t.Errorf("clients send values of %d bytes, the store takes %d", api.MaxValueBytes, kv.MaxValueBytes)
	}
}

// fill gives every field that is shown a value that is not empty.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Uint64:
		v.SetUint(7)
	case reflect.Int, reflect.Int64:
		v.SetInt(-3)
	default:
		panic("fill does not know " + v.Kind().String())
	}
}

// sameJSON checks that a value goes through the contract's type without losing or gaining a field.
func sameJSON[T any](t *testing.T, value any) {
	t.Helper()
	text := asJSON(t, value)
	if again := asJSON(t, decode[T](t, text)); again != text {
		t.Errorf("%T differs from the contract:\n%s\n%s", value, text, again)
	}
}

// asJSON writes a value with the names of its objects in order.
func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	text, err = json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestErrorsKeepTheirMeaningOnTheWay(t *testing.T) {
	t.Parallel()
	for _, e := range []api.Error{
		{Code: api.CodePreconditionFailed, Message: "a \"quoted\"\n line \x00 and 🛶", Revision: 42},
		{Code: api.CodeTooLarge, Message: "m", Limit: 100},
		{Code: api.CodeNoLeader, Message: "m", Leader: 3},
	} {
		text := string(appendError([]byte(`{"error":`), &e)) + "}"
		if got := decode[api.ErrorBody](t, text).Error; *got != e {
			t.Errorf("got %+v, want %+v", *got, e)
		}
	}
}
