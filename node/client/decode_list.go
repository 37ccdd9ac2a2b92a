package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Lists are recognised by hand as the server writes them, as answers to batches are; every other spelling of the same
// JSON goes through encoding/json, which takes five times as long.

// listLine is a line of a streamed list: an entry, or how the list ended.
type listLine struct {
	entry Entry
	end   bool
	count uint64 // in the last line
	err   *api.Error
}

// decodeListLine takes a line of a streamed list apart.
func decodeListLine(text []byte) (listLine, error) {
	var line listLine
	s := jsontext.Scan(text)
	if scanEntry(&s, &line.entry); s.Done() {
		return line, nil
	}
	var slow api.ListLine
	if err := json.Unmarshal(text, &slow); err != nil {
		return line, err
	}
	var err error
	line = listLine{end: slow.End, count: slow.Count, err: slow.Error}
	switch {
	case slow.Error != nil, slow.End:
	case slow.Folder != "":
		line.entry.Folder = slow.Folder
	case slow.Key != "":
		line.entry, err = entryOf(&slow.Record)
	default:
		err = errors.New("it has no key, no folder, no error and no end")
	}
	return line, err
}

// decodePage takes a page of a list apart, with the folders behind the keys.
func decodePage(text []byte) (Page, error) {
	s := jsontext.Scan(text)
	var page Page
	if scanPage(&s, &page); s.Done() {
		return page, nil
	}
	var slow api.ListPage
	if err := json.Unmarshal(text, &slow); err != nil {
		return Page{}, badAnswer("a page of a list is not the JSON that was expected", err)
	}
	page = Page{Revision: slow.Revision, Cursor: slow.Cursor}
	for i := range slow.Records {
		e, err := entryOf(&slow.Records[i])
		if err != nil {
			return Page{}, err
		}
		page.Entries = append(page.Entries, e)
	}
	for _, folder := range slow.Folders {
		page.Entries = append(page.Entries, Entry{Folder: folder})
	}
	return page, nil
}

// entryOf returns a record of a list. One without a value has a nil Value.
func entryOf(r *api.Record) (Entry, error) {
	e := Entry{Item: item(r.Key, nil, r.RecordMeta), Modified: modified(r.Modified)}
	e.Revision = r.Revision
	if r.Value == nil {
		return e, nil
	}
	var err error
	e.Value, err = decodeValue(r.Value, r.RecordMeta)
	return e, err
}

func scanPage(s *jsontext.Scanner, page *Page) {
	page.Revision = s.Uint(`{"revision":`)
	scanList(s, `,"records":[`, page)
	if s.Peek(`,"folders":[`) {
		scanFolders(s, page)
	}
	if s.Take(`,"cursor":"`) {
		page.Cursor = string(s.Plain())
	}
	s.Want("}\n")
}

func scanList(s *jsontext.Scanner, name string, page *Page) {
	s.Want(name)
	for more := !s.Take("]"); more && !s.Bad(); {
		page.Entries = append(page.Entries, Entry{})
		scanEntry(s, &page.Entries[len(page.Entries)-1])
		if more = !s.Take("]"); more {
			s.Want(",")
		}
	}
}

func scanFolders(s *jsontext.Scanner, page *Page) {
	s.Want(`,"folders":[`)
	for more := !s.Take("]"); more && !s.Bad(); {
		s.Want(`"`)
		page.Entries = append(page.Entries, Entry{Folder: string(s.Text())})
		if more = !s.Take("]"); more {
			s.Want(",")
		}
	}
}

// scanEntry reads a record or a folder. It copies what it keeps out of the text.
func scanEntry(s *jsontext.Scanner, e *Entry) {
	if s.Take(`{"folder":"`) {
		e.Folder = string(s.Text())
		s.Fail(e.Folder == "")
		s.Want("}")
		return
	}
	s.Want(`{"key":"`)
	e.Key = string(s.Text())
	s.Fail(e.Key == "")
	var value []byte
	hasValue := s.Take(`,"value":`)
	if hasValue {
		value = s.Value()
	}
	isBase64 := s.Take(`,"encoding":"base64"`)
	s.Want(`,"content_type":"`)
	e.ContentType = internType(s.Plain())
	e.Revision = s.Uint(`,"revision":`)
	e.CreateRevision = s.Uint(`,"create_revision":`)
	e.Version = s.Uint(`,"version":`)
	s.Want(`,"modified":`)
	seconds := s.Digits(math.MaxInt64/1_000_000 - 1)
	s.Want(".")
	e.Modified = time.UnixMicro(int64(seconds)*1e6 + s.Places(6))
	s.Want("}")
	if hasValue && !s.Bad() {
		var ok bool
		e.Value, ok = ownValue(value, isBase64, e.ContentType)
		s.Fail(!ok)
	}
}

// ownValue returns a copy of the bytes that a JSON value stands for, and false if they need encoding/json.
func ownValue(value []byte, isBase64 bool, contentType string) ([]byte, bool) {
	if !isBase64 && jsontext.IsJSON(contentType) {
		return bytes.Clone(value), true
	}
	text := jsontext.Scan(value)
	text.Want(`"`)
	plain := text.Text()
	if !text.Done() {
		return nil, false
	}
	if isBase64 {
		decoded, err := fromBase64(bytes.Clone(plain))
		return decoded, err == nil
	}
	return append(make([]byte, 0, len(plain)), plain...), true
}
