package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/hack/chaos/fault"
	"github.com/kontiki-dev/kontiki/node/sim/mutants"
)

func TestCommandLine(t *testing.T) {
	t.Parallel()
	o, err := parseOptions(strings.Fields("-nodes 5 -duration 10m -seed 7 -faults kill,ring -net proxies"))
	if err != nil || o.nodes != 5 || o.duration != 10*time.Minute || o.seed != 7 ||
		!slices.Equal(o.kinds, []fault.Kind{fault.Kill, fault.Ring}) || !slices.Equal(o.networks, []string{netProxies}) {
		t.Errorf("got %+v, %v", o, err)
	}
	if o, err := parseOptions(nil); err != nil || o.nodes != 3 || o.seed == 0 || len(o.kinds) != len(fault.Kinds) {
		t.Errorf("by default: %+v, %v", o, err)
	}
	for _, wrong := range []string{"-nodes 4", "-faults flood", "-net pigeons", "-duration soon"} {
		if _, err := parseOptions(strings.Fields(wrong)); err == nil {
			t.Errorf("%s was accepted", wrong)
		}
	}
}

func TestThePlantedBugsExist(t *testing.T) {
	t.Parallel()
	for _, p := range plants {
		if _, err := mutants.Find(p.mutant); err != nil {
			t.Error(err)
		}
	}
}
