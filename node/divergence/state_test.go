package divergence

import "testing"

// Only a majority of all members, without the one that judges, makes a state the wrong one.
func TestJudgeState(t *testing.T) {
	t.Parallel()
	has := func(digest uint64) State { return State{Index: 7, Known: true, Digest: digest} }
	pending, forgot := State{Index: 7, Pending: true}, State{Index: 7}
	for name, test := range map[string]struct {
		members int
		answers []State
		want    Verdict
	}{
		"all agree":                          {3, []State{has(1), has(1)}, Same},
		"a majority with this one":           {3, []State{has(1), has(2)}, Same},
		"one answer is enough of three":      {3, []State{has(1)}, Same},
		"both others agree on another":       {3, []State{has(2), has(2)}, Differs},
		"the others differ among themselves": {3, []State{has(2), has(3)}, Split},
		"one other differs, one is silent":   {3, []State{has(2)}, Split},
		"one other differs, one is behind":   {3, []State{has(2), pending}, Undecided},
		"one other differs, one forgot":      {3, []State{has(2), forgot}, Split},
		"no member answers":                  {3, nil, Undecided},
		"another index":                      {3, []State{{Index: 8, Known: true, Digest: 2}, has(1)}, Same},
		"an answer about another index":      {3, []State{{Index: 8, Known: true, Digest: 2}, has(2)}, Split},
		"two members differ":                 {2, []State{has(2)}, Split},
		"two members agree":                  {2, []State{has(1)}, Same},
		"half of four with this one":         {4, []State{has(1), has(2), has(2)}, Split},
		"three of four":                      {4, []State{has(2), has(2), has(2)}, Differs},
		"two of five do not decide":          {5, []State{has(2), has(2), has(3)}, Split},
		"three of five":                      {5, []State{has(2), has(1), has(2), has(2)}, Differs},
	} {
		if got := JudgeState(test.members, has(1), test.answers); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// Only a known digest of the same entry contradicts.
func TestContradicts(t *testing.T) {
	t.Parallel()
	ours := State{Index: 7, Known: true, Digest: 1}
	for name, test := range map[string]struct {
		answer State
		want   bool
	}{
		"the same digest":           {ours, false},
		"another digest":            {State{Index: 7, Known: true, Digest: 2}, true},
		"not applied yet":           {State{Index: 7, Pending: true}, false},
		"forgotten":                 {State{Index: 7}, false},
		"a digest of another entry": {State{Index: 8, Known: true, Digest: 2}, false},
	} {
		if got := Contradicts(ours, []State{ours, test.answer}); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
