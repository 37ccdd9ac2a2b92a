package rest

import (
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/kv"
)

// listParameters are the parameters of a GET of a range.
var listParameters = append([]string{
	api.ParamPrefix, api.ParamFrom, api.ParamTo, api.ParamDelimiter, api.ParamKeysOnly, api.ParamCount, api.ParamLimit,
	api.ParamCursor, api.ParamRevision,
}, readParameters...)

// listPlan is what a GET of a range asks for.
type listPlan struct {
	fresh    readQuery // what must hold of the state before it is read
	span     span
	begin    string // the first key
	keysOnly bool
	count    bool
	limit    int // 0: not given
}

// parseListQuery parses the parameters of a GET of a range.
func parseListQuery(raw string) (listPlan, error) {
	values, err := readParams(raw, listParameters)
	if err != nil {
		return listPlan{}, err
	}
	var p listPlan
	if p.fresh, err = freshnessOf(values); err != nil {
		return p, err
	}
	if p.span, err = spanOf(values); err != nil {
		return p, err
	}
	p.begin = p.span.from
	if p.keysOnly, err = flagParam(values, api.ParamKeysOnly); err != nil {
		return p, err
	}
	if p.count, err = flagParam(values, api.ParamCount); err != nil {
		return p, err
	}
	if p.limit, err = limitParam(values); err != nil {
		return p, err
	}
	if values.Has(api.ParamCursor) {
		err = p.resume(values.Get(api.ParamCursor))
	}
	if err == nil && p.count {
		err = checkCount(values)
	}
	return p, err
}

// resume makes the plan continue a list.
func (p *listPlan) resume(text string) error {
	c, err := parseCursor(text, &p.span)
	if err != nil {
		return err
	}
	if p.fresh.revision != 0 && p.fresh.revision != c.revision {
		return invalid("revision is " + strconv.FormatUint(p.fresh.revision, 10) + ", and the cursor is of revision " +
			strconv.FormatUint(c.revision, 10) + "; leave out one of them")
	}
	p.begin, p.fresh.revision, p.fresh.continued = c.next, c.revision, true
	return nil
}

// checkCount refuses what has no meaning for a count.
func checkCount(values url.Values) error {
	for _, name := range []string{api.ParamDelimiter, api.ParamKeysOnly, api.ParamLimit, api.ParamCursor} {
		if values.Has(name) {
			return invalid("count does not go with " + name + "; it goes with prefix, from, to and revision")
		}
	}
	return nil
}

// spanOf returns the keys that begin with the prefix and are in [from, to).
func spanOf(values url.Values) (span, error) {
	s := span{
		prefix: values.Get(api.ParamPrefix), from: values.Get(api.ParamFrom), to: values.Get(api.ParamTo),
		delimiter: values.Get(api.ParamDelimiter),
	}
	for _, name := range []string{api.ParamPrefix, api.ParamFrom, api.ParamTo, api.ParamDelimiter} {
		if size := len(values.Get(name)); size > kv.MaxKeyBytes {
			return s, &kv.TooLargeError{Field: name, Size: size, Limit: kv.MaxKeyBytes}
		}
	}
	if values.Has(api.ParamDelimiter) && (s.delimiter == "" || !utf8.ValidString(s.delimiter)) {
		return s, invalid("delimiter must be UTF-8 text like /; it is " + quoted(s.delimiter))
	}
	from, to := kv.PrefixRange(s.prefix)
	s.from = max(s.from, from)
	if s.to == "" || to != "" && to < s.to {
		s.to = to
	}
	return s, nil
}

// flagParam reads a parameter that needs no value.
func flagParam(values url.Values, name string) (bool, error) {
	if !values.Has(name) {
		return false, nil
	}
	switch text := values.Get(name); text {
	case "", "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	default:
		return false, invalid(name + " must be true or false, or have no value; it is " + quoted(text))
	}
}

// limitParam reads the limit of a page; 0: not given.
func limitParam(values url.Values) (int, error) {
	const most = 1 << 30 // more keys than a node holds
	limit, err := countParam(values, api.ParamLimit, most)
	switch {
	case err != nil:
		return 0, err
	case !values.Has(api.ParamLimit):
		return 0, nil
	case limit == 0:
		return 0, invalid("limit is 0; it must be at least 1")
	}
	return int(min(limit, most)), nil
}

// revisionParam reads a revision; 0: not given.
func revisionParam(values url.Values, name string) (uint64, error) {
	if !values.Has(name) {
		return 0, nil
	}
	text := values.Get(name)
	revision, err := strconv.ParseUint(text, 10, 64)
	if err != nil || revision == 0 {
		return 0, invalid(name + " must be a revision, a whole number like 42; it is " + quoted(text))
	}
	return revision, nil
}
