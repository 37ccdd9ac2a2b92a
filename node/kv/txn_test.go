package kv

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

func TestATransactionHasOneRevisionAndKeepsItsOrder(t *testing.T) {
	t.Parallel()
	s := storeOf(t, `{"op":"put","key":"d/1","value":"x"}`, `{"op":"put","key":"d/2","value":"x"}`,
		`{"op":"put","key":"z","value":"x"}`)
	_, results := txnOf(t, s, `{"op":"txn","then":[{"put":{"key":"z","value":"1"}},{"count":{"prefix":""}},`+
		`{"delete":{"prefix":"d/"}},{"delete":{"key":"none"}},{"count":{"prefix":""}},{"set":{"key":"a","value":2}},`+
		`{"get":{"key":"a","keys_only":true}},{"incr":{"key":"m"}}]}`)
	want := `[{"put":{"revision":4,"created":false}},{"count":{"count":3}},{"delete":{"deleted":2}},` +
		`{"delete":{"deleted":0}},{"count":{"count":1}},{"set":{"revision":4,"created":true}},` +
		`{"get":{"records":[{"key":"a","content_type":"application/json","revision":4,"create_revision":4,"version":1,` +
		`"modified":4}]}},{"incr":{"value":1}}]`
	if results != want {
		t.Errorf("results %s\nwant    %s", results, want)
	}
	var order []string
	for _, c := range s.Delta(3).Changes {
		if c.Revision != 4 || c.Position != len(order) {
			t.Errorf("change %d is at revision %d, position %d", len(order), c.Revision, c.Position)
		}
		order = append(order, c.Key)
	}
	if want := []string{"z", "d/1", "d/2", "a", "m"}; !reflect.DeepEqual(order, want) {
		t.Errorf("the changes are %v, want %v", order, want)
	}
}

// What a transaction reads shows the changes of the operations before it, and none of those after it.
func TestReadsSeeWhatCameBeforeThem(t *testing.T) {
	t.Parallel()
	s := storeOf(t, `{"op":"put","key":"a","value":"old"}`)
	_, results := txnOf(t, s, `{"op":"txn","then":[{"get":{"key":"a"}},{"put":{"key":"a","value":"new"}},`+
		`{"get":{"key":"a"}},{"get":{"key":"b"}},{"put":{"key":"b","value":"new"}},{"get":{"from":"a"}}]}`)
	record := func(key, value string, create, version, revision int) string {
		return fmt.Sprintf(`{"key":%q,"value":%q,"content_type":"application/octet-stream","revision":%d,`+
			`"create_revision":%d,"version":%d,"modified":%d}`, key, value, revision, create, version, revision)
	}
	a := record("a", "new", 1, 2, 2)
	want := `[{"get":{"records":[` + record("a", "old", 1, 1, 1) + `]}},{"put":{"revision":2,"created":false}},` +
		`{"get":{"records":[` + a + `]}},{"get":{"records":[]}},{"put":{"revision":2,"created":true}},` +
		`{"get":{"records":[` + a + `,` + record("b", "new", 2, 1, 2) + `]}}]`
	if results != want {
		t.Errorf("results %s\nwant    %s", results, want)
	}
}

// Whatever operation is refused, and wherever it stands, nothing is changed.
func TestARefusalInATransactionChangesNothing(t *testing.T) {
	t.Parallel()
	const before = `{"put":{"key":"new","value":"1"}},{"delete":{"key":"text"}}`
	for refused, want := range map[string]struct {
		code    Code
		message string
	}{
		`{"incr":{"key":"json"}}`: {CodeConflict, `.incr: key "json" holds [1]; only an integer`},
		`{"incr":{"key":"max"}}`:  {CodeConflict, `adding 1 would leave`},

		`{"put":{"key":"json","value":"","if_absent":true}}`: {CodePreconditionFailed, `.put: key "json" must be absent`},
		`{"set":{"key":"no","value":1,"if_revision":3}}`:     {CodePreconditionFailed, `"no" must have revision 3`},
		`{"delete":{"key":"json","if_revision":9}}`:          {CodePreconditionFailed, `"json" must have revision 9`},
		`{"cas":{"key":"json","expected":2,"value":1}}`:      {CodePreconditionFailed, `"json" holds [1], which is not`},
		`{"cas":{"key":"no","expected":2,"value":1}}`:        {CodePreconditionFailed, `"no" is absent, which is not`},
	} {
		for place, command := range []string{
			`{"op":"txn","then":[` + refused + `,` + before + `]}`,
			`{"op":"txn","if":[{"key":"no","exists":true}],"else":[` + before + `,` + refused + `]}`,
		} {
			s := storeOf(t, `{"op":"put","key":"text","value":"x"}`, `{"op":"set","key":"json","value":[1]}`,
				`{"op":"set","key":"max","value":9223372036854775807}`)
			sum := s.Sum()
			r := s.applyText(4, []byte(command))
			where := []string{"then[0]", "else[2]"}[place]
			if r.Code != want.code || !strings.HasPrefix(r.Message, where) || !strings.Contains(r.Message, want.message) {
				t.Errorf("%s: %s %s", command, r.Code, r.Message)
			}
			if s.Sum() != sum || s.Len() != 3 || len(s.Delta(3).Changes) > 0 {
				t.Errorf("%s changed the state", command)
			}
		}
	}
}

func TestAKeyIsChangedOnce(t *testing.T) {
	t.Parallel()
	// Where the keys are in the command, Validate finds it; only branches of their own may change the same key.
	for list, want := range map[string]string{
		`{"put":{"key":"a","value":""}},{"put":{"key":"a","value":""}}`: `then[1] and then[0] change the same key, "a"`,

		`{"incr":{"key":"a"}},{"get":{"key":"a"}},{"delete":{"key":"a"}}`:                    `then[2] and then[0]`,
		`{"set":{"key":"a","value":1}},{"cas":{"key":"a","expected":1,"value":2}}`:           `then[1] and then[0]`,
		`{"set":{"key":"a","value":1}},{"get":{"key":"a"}},{"set":{"key":"b","value":1}}`:    ``,
		`{"set":{"key":"a","value":1}}],"else":[{"set":{"key":"a","value":2}}`:               ``,
		`{"set":{"key":"c","value":1}}],"else":[{"incr":{"key":"a"}},{"delete":{"key":"a"}}`: `else[1] and else[0]`,
	} {
		o, err := Parse([]byte(`{"op":"txn","then":[` + list + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		err = o.Validate()
		var invalid *InvalidError
		if (err != nil) != (want != "") || err != nil && (!errors.As(err, &invalid) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", list, err)
		}
		if err == nil {
			continue
		}
		// An entry that came past the doors is refused by Apply, too (trap T45).
		s := storeOf(t, `{"op":"set","key":"a","value":1}`)
		c := `{"op":"txn","then":[` + list + `]}`
		if strings.Contains(list, "else") {
			c = strings.Replace(c, `"then"`, `"if":[{"key":"no","exists":true}],"then"`, 1)
		}
		if r := s.applyText(2, []byte(c)); r.Code != CodeConflict || len(s.Delta(1).Changes) > 0 {
			t.Errorf("%s: %+v", c, r)
		}
	}
}

// What a range selects shows only when the transaction is applied.
func TestAKeyIsChangedOnceAlsoByTheDeleteOfARange(t *testing.T) {
	t.Parallel()
	for list, refused := range map[string]bool{
		`{"put":{"key":"a/1","value":""}},{"delete":{"prefix":"a/"}}`:     true,
		`{"delete":{"prefix":"a/"}},{"put":{"key":"a/1","value":""}}`:     true,
		`{"delete":{"key":"a/1"}},{"delete":{"from":"a"}}`:                true,
		`{"delete":{"prefix":"a/"}},{"delete":{"from":"a/2","to":"a/3"}}`: true,
		`{"put":{"key":"a/new","value":""}},{"delete":{"prefix":"a/"}}`:   true, // would have to delete what it creates
		`{"delete":{"prefix":"a/"}},{"put":{"key":"a/new","value":""}}`:   false,
		`{"delete":{"prefix":"a/"}},{"delete":{"key":"a/none"}}`:          false,
		`{"delete":{"key":"a/none"}},{"delete":{"prefix":"a/"}}`:          false,
		`{"delete":{"prefix":"a/"}},{"delete":{"prefix":"none"}}`:         false,
		`{"put":{"key":"b","value":""}},{"delete":{"from":"a","to":"b"}}`: false,
	} {
		s := storeOf(t, `{"op":"put","key":"a/1","value":"x"}`, `{"op":"put","key":"a/2","value":"x"}`)
		r := s.applyText(3, []byte(`{"op":"txn","then":[`+list+`]}`))
		if (r.Code == CodeConflict) != refused || refused && !strings.Contains(r.Message, "change a key once") {
			t.Errorf("%s: %q %s", list, r.Code, r.Message)
		}
		if changed := len(s.Delta(2).Changes) > 0; changed == refused {
			t.Errorf("%s: changed %t", list, changed)
		}
	}
}

func TestATransactionHasAtMost512Operations(t *testing.T) {
	t.Parallel()
	compare := Compare{Key: []byte("a"), Attribute: Exists}
	txn := &Txn{}
	for i := range 100 {
		txn.If = append(txn.If, compare)
		txn.Else = append(txn.Else, &Count{Key: fmt.Append(nil, i)})
	}
	for i := range MaxTxnOperations - 200 {
		txn.Then = append(txn.Then, &Incr{Key: fmt.Append(nil, i), By: 1})
	}
	if err := txn.Validate(); err != nil {
		t.Fatal(err)
	}
	s := New()
	if r := s.applyText(1, txn.AppendJSON(nil)); r.Code != "" || s.Len() != MaxTxnOperations-200 {
		t.Errorf("%+v, %d keys", r, s.Len())
	}
	txn.Else = append(txn.Else, &Count{Key: []byte("a")})
	var large *TooLargeError
	want := `field "txn" has 513 comparisons and operations; at most 512 are allowed`
	if err := txn.Validate(); !errors.As(err, &large) || large.Limit != 512 || large.Size != 513 || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// Each operation takes memory before Validate counts them, so parsing stops where no version would allow more.
func TestAMillionOperationsAreNotParsed(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`"then":[` + strings.Repeat(`{"get":{"key":"a"}},`, 10_000) + `{"get":{"key":"a"}}]`,
		`"then":[` + strings.Repeat(`{} ,`, 10_000) + `{}]`,
		`"if":[` + strings.Repeat(`{"key":"a","exists":true},`, 10_000) + `{"key":"a","exists":true}],"then":[]`,
	} {
		_, err := Parse([]byte(`{"op":"txn",` + text + `}`))
		var large *TooLargeError
		if !errors.As(err, &large) || large.Size != 10_001 || large.Limit != MaxTxnOperations {
			t.Errorf("%.40s...: %v", text, err)
		}
	}
}

func TestATransactionIsNotInATransaction(t *testing.T) {
	t.Parallel()
	for _, o := range []Operation{
		&Txn{Then: []Operation{&Count{Key: []byte("a")}}}, &Compact{Revision: 1}, &Get{Key: []byte("a")},
	} {
		txn := &Txn{Then: []Operation{o}}
		if err := txn.Validate(); err == nil || !strings.Contains(err.Error(), "cannot be in a transaction") {
			t.Errorf("%T: %v", o, err)
		}
	}
}

// The entry must fit a message between nodes, so the canonical form is bounded, however the request was spelled.
func TestACanonicalTransactionHasAtMostMaxCommandBytes(t *testing.T) {
	t.Parallel()
	quotes := bytes.Repeat([]byte(`"`), MaxValueBytes) // two bytes each in JSON, and less than that in base64
	txn := &Txn{}
	for i := range 4 {
		txn.Then = append(txn.Then, &Put{Key: fmt.Append(nil, i), Value: quotes})
	}
	if err := txn.Validate(); err != nil {
		t.Fatal(err)
	}
	last := &Put{Key: []byte("last"), Value: quotes[:MaxValueBytes/2]}
	txn.Then = append(txn.Then, last)
	last.Value = quotes[:(MaxCommandBytes-len(txn.AppendJSON(nil)))/2+len(last.Value)-8]
	if err := txn.Validate(); err != nil {
		t.Error(err)
	}
	if size := len(txn.AppendJSON(nil)); size > MaxCommandBytes || size < MaxCommandBytes-32 {
		t.Errorf("%d bytes", size)
	}
	last.Value = quotes[:len(last.Value)+16]
	var large *TooLargeError
	if err := txn.Validate(); !errors.As(err, &large) || large.Limit != MaxCommandBytes || large.Field != "txn" {
		t.Errorf("%d bytes: %v", len(txn.AppendJSON(nil)), err)
	}
	keys := &Txn{}
	for i := range 400 {
		key := append(bytes.Repeat([]byte{1}, MaxKeyBytes-4), fmt.Sprintf("%04d", i)...)
		keys.If = append(keys.If, Compare{Key: key, Attribute: Exists})
	}
	if err := keys.Validate(); !errors.As(err, &large) {
		t.Errorf("%d bytes of keys: %v", len(keys.AppendJSON(nil)), err)
	}
}

// Validate computes the length without the text of the whole.
func TestTheEncodedSizeOfATransactionIsItsLength(t *testing.T) {
	t.Parallel()
	for _, c := range canonicalCommands {
		if txn, is := c.command.(*Txn); is {
			if size, length := txn.encodedSize(), len(c.line); size != length {
				t.Errorf("%s: size %d, length %d", c.line, size, length)
			}
		}
	}
}

// A value of the greatest depth is four levels deeper in a transaction, on its way in and out.
func TestValuesInTransactionsNestAsDeepAsElsewhere(t *testing.T) {
	t.Parallel()
	line := []byte(`{"op":"txn","then":[{"set":{"key":"a","value":` + deep(jsontext.MaxDepth) + `}},{"get":{"key":"a"}}]}`)
	entry, err := Admit(line)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckEntry(entry); err != nil {
		t.Error(err)
	}
	s := New()
	r := s.applyText(1, entry)
	text := string(r.JSON())
	sent, err := ParseResult(r.AppendJSON(nil))
	if err != nil || string(sent.JSON()) != text || !strings.Contains(text, deep(jsontext.MaxDepth)) {
		t.Errorf("%v: %.100s", err, sent.JSON())
	}
}

func TestParseTxnNeedsNoOp(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"if":[{"key":"a","exists":true}],"then":[{"delete":{"key":"a"}}]}`,
		`{"op":"txn","if":[{"key":"a","exists":true}],"then":[{"delete":{"key":"a"}}]}`,
		"{\n \"then\": [{\"delete\": {\"key\": \"\\u0061\"}}],\n \"if\": [{\"exists\": true, \"key\": \"a\"}]\n}\n",
	} {
		const want = `{"op":"txn","if":[{"key":"a","exists":true}],"then":[{"delete":{"key":"a"}}]}`
		got, err := ParseTxn([]byte(text))
		if err != nil || string(got.AppendJSON(nil)) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		`{"op":"put","then":[]}`: `field "op" is "put"; it must be "txn", or be left out`, `[]`: "JSON object",
		`{"then":[],"when":[]}`:                          `"when" does not belong to op txn, which takes if, then, else`,
		`{"then":[],"then":[]}`:                          `"then" comes twice`,
		`{"then":[]}{}`:                                  "something follows",
		"{\"then\":[],\"\xff\":1}":                       "UTF-8",
		`{"then":[{"put":{"key":"\ud800","value":""}}]}`: "surrogate",
	} {
		if _, err := ParseTxn([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzTxn checks that a transaction means the same with and without op, on both paths.
func FuzzTxn(f *testing.F) {
	for _, c := range canonicalCommands {
		if c.command.Op() == OpTxn {
			f.Add([]byte(strings.Replace(c.line, `"op":"txn",`, "", 1)))
			f.Add([]byte(strings.Replace(c.line, `"op":"txn",`, " ", 1)))
		}
	}
	f.Add([]byte(`{"then":[{"put":{"key":"a","value":"\ud83d\ude00"}}],"if":[{"value":{"eq":"\u000a"},"key":"a"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		bare, err := ParseTxn(text)
		if err != nil {
			return
		}
		fields, err := readFields(text)
		if err != nil {
			t.Fatalf("%q is a transaction, and no object: %v", text, err)
		}
		if _, has := find(fields, "op"); !has && len(fields) > 0 {
			whole, err := Parse(bytes.Replace(text, []byte(`{`), []byte(`{"op":"txn",`), 1))
			if err != nil || !sameCommand(bare, whole) {
				t.Fatalf("%q is read as\n%+v, and with op as\n%+v, %v", text, bare, whole, err)
			}
		}
		checkRoundTrip(t, bare)
	})
}
