package jsontext

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzScanner reads text in each mode, and compares with encoding/json what it finds.
func FuzzScanner(f *testing.F) {
	for _, text := range []string{
		``, `0`, `-1`, `[1,{"a":"]"}]`, `"a\\"`, `{"a":[true,null]}}`, `"\u00e9\n"`, "\"\xff\"", `tru`,
		`18446744073709551616`,
		`a"b\c`, "line\nbreak\r\t\x00\x1f\x7f", "caf\u00e9 \U0001f600", `[[[[`, `{"a":1]`, `"12345678\"`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if utf8.Valid(text) {
			checkString(t, text)
		}
		var back string
		bare := AppendText(nil, string(text))
		if err := json.Unmarshal(bare, &back); err != nil || back != string([]rune(string(text))) || !utf8.Valid(bare) {
			t.Fatalf("%q is appended as %s, which encoding/json reads as %q, %v", text, bare, back, err)
		}
		if string(AppendBase64(nil, text)) != `"`+base64.StdEncoding.EncodeToString(text)+`"` {
			t.Fatalf("%q in base64 is %s", text, AppendBase64(nil, text))
		}
		s := Scan(text)
		value := s.Value()
		if whole := s.Done() && utf8.Valid(text); whole != Valid(text) || whole && !bytes.Equal(value, text) {
			t.Fatalf("%q is one value: %t, and valid: %t", text, whole, Valid(text))
		}
		followed := Scan(text)
		if followed.Follow(); s.Done() && len(text) <= FollowDepth && !followed.Done() {
			t.Fatalf("%q is one value, and is not followed to its end", text)
		}
	})
}

// checkString appends text as a string and reads it in each way.
func checkString(t *testing.T, text []byte) {
	t.Helper()
	quoted := AppendString(nil, text)
	var back string
	if err := json.Unmarshal(quoted, &back); err != nil || back != string(text) {
		t.Fatalf("%q is appended as %s, which encoding/json reads as %q, %v", text, quoted, back, err)
	}
	if size := StringSize(text); size != len(quoted) {
		t.Fatalf("%s has %d bytes, not %d", quoted, len(quoted), size)
	}
	if bare := AppendText(nil, string(text)); !bytes.Equal(bare, quoted) {
		t.Fatalf("%q is appended as %s and as %s", text, quoted, bare)
	}
	for _, most := range []int{len(quoted), len(quoted) - 1} {
		got, ok := AppendStringWithin([]byte("x"), text, most)
		if ok != (most == len(quoted)) || ok && string(got) != "x"+string(quoted) || !ok && string(got) != "x" {
			t.Fatalf("%q within %d bytes is %q, %t", text, most, got, ok)
		}
	}
	s := Scan(quoted)
	if s.Want(`"`); !bytes.Equal(s.Text(), text) || !s.Done() {
		t.Fatalf("%s is read as another text than %q", quoted, text)
	}
	s = Scan(quoted)
	s.Want(`"`)
	plain := s.Plain()
	if s.Done() != (len(quoted) == len(text)+2) || s.Done() && !bytes.Equal(plain, text) {
		t.Fatalf("%s is read as the plain text %q", quoted, plain)
	}
}

func TestAppendTextReplacesWhatIsNoUTF8(t *testing.T) {
	t.Parallel()
	if got := string(AppendText(nil, "a\xff\xfeb")); got != "\"a\ufffd\ufffdb\"" {
		t.Errorf("got %s", got)
	}
}

func TestNumbersHaveOneSpelling(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint64{
		"0": 0, "7": 7, "255": 255, "256": bad, "00": bad, "01": bad, "": bad, "-1": bad, "1.0": bad, "1e1": bad, "999": bad,
	} {
		s := Scan([]byte(text))
		if n := s.Digits(255); s.Done() != (want != bad) || s.Done() && n != want {
			t.Errorf("%q is read as %d, recognised: %t", text, n, s.Done())
		}
	}
	for text, want := range map[string]int64{
		"0": 0, "-0": 0, "-9223372036854775808": math.MinInt64, "9223372036854775807": math.MaxInt64,
	} {
		s := Scan([]byte(`"n":` + text))
		if n := s.Int(`"n":`); !s.Done() || n != want {
			t.Errorf("%s is read as %d", text, n)
		}
	}
	for _, text := range []string{"", "-", "01", "+1", "1.0", "9223372036854775808", "-9223372036854775809"} {
		s := Scan([]byte(`"n":` + text))
		if n := s.Int(`"n":`); s.Done() {
			t.Errorf("%q is read as %d", text, n)
		}
	}
	s := Scan([]byte(strconv.FormatUint(math.MaxUint64, 10)))
	if n := s.Digits(math.MaxUint64); !s.Done() || n != math.MaxUint64 {
		t.Errorf("the largest number is read as %d", n)
	}
}

// bad stands for a number that is not recognised.
const bad = math.MaxUint64

func TestAFieldThatIsGivenIsNotZero(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"": true, `,"n":1`: true, `,"n":0`: false, `,"n":`: false, `,"n":9`: false} {
		s := Scan([]byte(text))
		if n := s.Given(`,"n":`, 8); s.Done() != want {
			t.Errorf("%q is read as %d, recognised: %t", text, n, s.Done())
		}
	}
}

func TestPlacesAreDigitsAndNothingElse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"000123": true, "00123": false, "00012a": false, "+00123": false} {
		s := Scan([]byte(text))
		if n := s.Places(6); s.Done() != want || want && n != 123 {
			t.Errorf("%q is read as %d, recognised: %t", text, n, s.Done())
		}
	}
}

// A scanner that is bad stays so, and finds nothing.
func TestABadScannerFindsNothing(t *testing.T) {
	t.Parallel()
	s := Scan([]byte(`"a":true`))
	if s.Want(`"b":`) || !s.Bad() {
		t.Fatal("another text was found")
	}
	if s.Peek(`"a":`) || s.Take(`"a":`) || s.Bool(`"a":`) || s.Text() != nil || s.Plain() != nil || s.Value() != nil ||
		s.Follow() != nil || s.Done() {
		t.Error("something was found")
	}
}

func TestFollowEndsAtItsDepth(t *testing.T) {
	t.Parallel()
	for depth, want := range map[int]bool{FollowDepth: true, FollowDepth + 1: false} {
		text := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		s := Scan([]byte(text))
		if s.Follow(); s.Done() != want {
			t.Errorf("%d levels are followed: %t", depth, s.Done())
		}
	}
	for _, text := range []string{`[}`, `{"a":[1}`, `"a`, `[`, `x`, ``, `["\"]`} {
		s := Scan([]byte(text))
		if s.Follow(); s.Done() {
			t.Errorf("%s is followed to its end", text)
		}
	}
}

// A large value that is compacted must not be copied outside of the memory that was taken for it. Not in parallel: it
// measures what is allocated.
func TestAppendCompactUsesTheMemoryThatItIsGiven(t *testing.T) { // H4
	text := []byte("[\n" + strings.Repeat("1,\n", 1<<18) + "1\n]")
	dst := make([]byte, 0, len(text))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := AppendCompact(dst, text)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > uint64(len(text)/4) {
		t.Errorf("%d bytes of JSON took %d bytes of memory", len(text), took)
	}
	if want := "[" + strings.Repeat("1,", 1<<18) + "1]"; string(got) != want {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
}
