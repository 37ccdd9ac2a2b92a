package rest

import (
	"errors"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/kv"
)

func TestACursorIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	all := &span{}
	for _, c := range []cursor{
		{1, "a"}, {1<<64 - 1, "\x00"}, {300, "\xff\xfe"}, {42, strings.Repeat("k", kv.MaxKeyBytes) + "\x00"},
	} {
		text := c.encode(all)
		if got, err := parseCursor(text, all); err != nil || got != c {
			t.Errorf("%+v became %+v, %v", c, got, err)
		}
		if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("%s is not safe in a query", text)
		}
	}
}

func TestACursorBelongsToItsList(t *testing.T) {
	t.Parallel()
	of := span{from: "a", to: "c", prefix: "p", delimiter: "/"}
	text := cursor{7, "b"}.encode(&of)
	for _, other := range []span{
		{from: "a", to: "c", prefix: "p"},
		{from: "a", to: "cp", delimiter: "/"},
		{from: "ac", prefix: "p", delimiter: "/"},
		{from: "aa", to: "c", prefix: "p", delimiter: "/"},
	} {
		if got, err := parseCursor(text, &other); err == nil {
			t.Errorf("the cursor of %+v is accepted for %+v as %+v", of, other, got)
		}
	}
	for _, c := range []cursor{{0, "b"}, {7, ""}, {7, "c"}, {7, "A"}} { // no revision, no key, outside of the range
		if got, err := parseCursor(c.encode(&of), &of); err == nil {
			t.Errorf("%+v is accepted", got)
		}
	}
}

func TestADamagedCursorIsRefused(t *testing.T) {
	t.Parallel()
	of := &span{from: "app/", to: "app0", prefix: "app/"}
	text := cursor{123456, "app/key"}.encode(of)
	for i := range len(text) {
		for _, c := range "A_z9\n=" {
			damaged := text[:i] + string(c) + text[i+1:]
			if damaged == text {
				continue
			}
			if got, err := parseCursor(damaged, of); err == nil {
				t.Errorf("%q is accepted as %+v", damaged, got)
			}
		}
		if _, err := parseCursor(text[:i], of); err == nil {
			t.Errorf("%q is accepted", text[:i])
		}
	}
}

// FuzzCursor parses any text. An accepted cursor is one that the server writes for this list, byte for byte.
func FuzzCursor(f *testing.F) {
	f.Add(cursor{42, "app/key"}.encode(&span{from: "app/", to: "app0", prefix: "app/"}), "app/", "app0", "app/", "")
	f.Add(cursor{1, "a"}.encode(&span{delimiter: "/"}), "", "", "", "/")
	f.Add("AQAAAAAAAAAAAAA", "", "", "", "")
	f.Add("AYCAgICAgICAgIABAAAAAAAAAAA", "a", "b", "c", "d")
	f.Fuzz(func(t *testing.T, text, from, to, prefix, delimiter string) {
		of := &span{from, to, prefix, delimiter}
		c, err := parseCursor(text, of)
		if err != nil {
			if e, ok := errors.AsType[*api.Error](err); !ok || e.Code != api.CodeInvalid {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if c.encode(of) != text || c.revision == 0 || !of.contains(c.next) {
			t.Fatalf("%q is accepted as %+v", text, c)
		}
	})
}

// FuzzListQuery parses any query of a list. An accepted one reads a range within its bounds.
func FuzzListQuery(f *testing.F) {
	f.Add("prefix=app/&limit=10&keys_only&delimiter=/")
	f.Add("from=a&to=b&revision=7&min_revision=7&consistency=stale&max_stale=1s")
	f.Add("count&prefix=%ff%ff")
	f.Add("prefix=app/&cursor=" + cursor{42, "app/key"}.encode(&span{from: "app/", to: "app0", prefix: "app/"}))
	f.Add("limit=99999999999999999999&keys_only=1&keys_only")
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := parseListQuery(raw)
		if err != nil {
			code := (&responder{}).explain(err).Code
			if code != api.CodeInvalid && code != api.CodeTooLarge {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		s := &p.span
		switch {
		case p.limit < 0, p.begin < s.from, p.fresh.continued && !s.contains(p.begin), p.count && p.limit > 0:
			t.Fatalf("%q is %+v", raw, p)
		case s.prefix != "" && s.contains(s.prefix) && !strings.HasPrefix(max(s.from, s.prefix), s.prefix):
			t.Fatalf("%q is %+v", raw, p)
		case len(s.from)+len(s.to)+len(s.prefix)+len(s.delimiter) > 4*kv.MaxKeyBytes:
			t.Fatalf("%q is %+v", raw, p)
		}
		if s.to > s.from && !strings.HasPrefix(s.from, s.prefix) {
			t.Fatalf("%q: the range from %q to %q has keys without the prefix %q", raw, s.from, s.to, s.prefix)
		}
	})
}
