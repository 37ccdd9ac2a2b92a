package entryjson

import (
	"encoding/json"
	"testing"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

func TestSecondsKeepEveryMicrosecond(t *testing.T) {
	t.Parallel()
	for micros, want := range map[int64]string{
		0: "0.000000", 1: "0.000001", 999_999: "0.999999", 1_000_000: "1.000000", -1: "-0.000001", -1_500_000: "-1.500000",
	} {
		if got := string(AppendSeconds(nil, micros)); got != want {
			t.Errorf("%d microseconds: %s, want %s", micros, got, want)
		}
	}
}

func TestTimesKeepTheirMicroseconds(t *testing.T) { // H5
	t.Parallel()
	good := map[string]int64{
		"0": 0, "-0.0": 0, "1": 1e6, "1.5": 1_500_000, "-0.000001": -1, "-1.25": -1_250_000, "1.0000010000": 1_000_001,
		"1790000000.123457": 1_790_000_000_123_457, "9007199254.740993": 9_007_199_254_740_993,
		"9223372036853.999999": 9_223_372_036_853_999_999,
	}
	for text, want := range good {
		if got, err := parseSeconds(text); err != nil || got != want {
			t.Errorf("%s: got %d (%v), want %d", text, got, err, want)
		}
	}
	bad := []string{"", "-", "1e3", "1E3", "0.0000001", "9223372036854.775808", "99999999999999999999", "x"}
	for _, text := range bad {
		if got, err := parseSeconds(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

// FuzzSeconds reads times that another node wrote: in either way of reading they mean the same, and are written again
// as the same time.
func FuzzSeconds(f *testing.F) {
	for _, text := range []string{
		"0", "-0.0", "1.5", "1790000000.123457", "9223372036853.999999", "-1.000000", "1e3", "1.", ".5", "01.5", "1.0000001",
		"9223372036855.000000", "18446744073709551615.000000", "-0.000000",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := jsontext.Scan([]byte(text))
		fast := scanSeconds(&s, "")
		slow, err := parseSeconds(text)
		if s.Done() && (err != nil || fast != slow) {
			t.Fatalf("%q: scanned %d, parsed %d, %v", text, fast, slow, err)
		}
		if err != nil {
			return
		}
		written := AppendSeconds(nil, slow)
		if again, err := parseSeconds(string(written)); err != nil || again != slow || !json.Valid(written) {
			t.Fatalf("%q is %d, written as %s, which is %d, %v", text, slow, written, again, err)
		}
	})
}
