package rest

import (
	"reflect"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/kv"
)

func TestClientsSendValuesAsLongAsTheStoreTakes(t *testing.T) {
	t.Parallel()
	if api.MaxValueBytes != kv.MaxValueBytes {
		t.Errorf("clients send values of %d bytes, the store takes %d", api.MaxValueBytes, kv.MaxValueBytes)
	}
}

func TestErrorsKeepTheirMeaningOnTheWay(t *testing.T) {
	t.Parallel()
	for _, e := range []api.Error{
		{Code: api.CodePreconditionFailed, Message: "a \"quoted\"\n line \x00 and 🛶", Revision: 42},
		{Code: api.CodeTooLarge, Message: "m", Limit: 100},
		{Code: api.CodeNoLeader, Message: "m", Leader: 3},
		{Code: api.CodeConflict, Message: "m", Config: &api.Membership{Index: 7, Members: []api.ConfigMember{
			{ID: 4, Address: "http://h4:7080", APIAddress: "http://h4:8080", Role: api.RoleLearner, AutoPromote: true},
		}}},
	} {
		text := string(appendError([]byte(`{"error":`), &e)) + "}"
		if got := decode[api.ErrorBody](t, text).Error; !reflect.DeepEqual(*got, e) {
			t.Errorf("got %+v, want %+v", *got, e)
		}
	}
}
