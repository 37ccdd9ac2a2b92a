package regressions_test

import (
	"regexp"
	"testing"

	"github.com/kontiki-dev/kontiki/node/sim"
	"github.com/kontiki-dev/kontiki/node/sim/regressions"
)

func TestWhatWasFoundStaysMended(t *testing.T) {
	t.Parallel()
	commit := regexp.MustCompile(`^[0-9a-f]{7,40}$`)
	known := map[string]bool{}
	for _, found := range regressions.All() {
		if known[found.Options] || found.Broke == "" || !commit.MatchString(found.Mended) {
			t.Errorf("a row wants options that no other row has, what broke, and a commit; this is %+v", found)
		}
		known[found.Options] = true
		t.Run(found.Options, func(t *testing.T) {
			t.Parallel()
			cfg, err := sim.ParseOptions(found.Options)
			if err != nil {
				t.Fatal(err)
			}
			if r := sim.Run(cfg); r.Violation != nil {
				t.Errorf("it was mended by %s, and is broken again: %v\nreplay: raftsim %s", found.Mended, r.Violation,
					found.Options)
			}
		})
	}
}
