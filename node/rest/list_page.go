package rest

import (
	"cmp"
	"context"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/kv"
)

// answerPage answers with one page of a range. It is complete before its first byte is sent, so that an error has its
// own status, and so that a slow client holds text only.
func (l *lists) answerPage(c *gin.Context, p *listPlan, fresh *freshRead) error {
	page := &listPage{out: l.newBuffer(), folders: l.newBuffer()}
	defer page.out.release()
	defer page.folders.release()
	err := l.buildPage(c.Request.Context(), p, page)
	if err == nil {
		err = fresh.check()
	}
	if err != nil {
		return err
	}
	fresh.stamp(c.Writer.Header())
	l.answer(c.Writer, http.StatusOK, typeJSON, page.out.b)
	return nil
}

// buildPage reads and writes a page. Only as many are built at a time as there are processors (buildRecord).
func (l *lists) buildPage(ctx context.Context, p *listPlan, page *listPage) error {
	leave, err := l.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	chunks := l.chunks(p, min(cmp.Or(p.limit, api.DefaultListKeys), api.MaxListKeys))
	for n, more := 0, true; more && n < listChunks && page.size() < listBytes; n++ {
		var items []kv.Item
		if items, more, err = chunks.read(); err != nil {
			return err
		}
		if n == 0 {
			page.out.b = append(strconv.AppendUint(append(page.out.b, `{"revision":`...), chunks.next.Revision, 10),
				`,"records":[`...)
		}
		for i := range items {
			if !page.add(&items[i], p.keysOnly) {
				return errNoMemory
			}
		}
	}
	if !page.finish(chunks.cursor(p), p.span.delimiter != "") {
		return errNoMemory
	}
	return nil
}

// listPage is the text of an api.ListPage that grows.
type listPage struct {
	out     *buffer // the revision and the records
	folders *buffer // each with a comma behind it
	records int
}

func (p *listPage) size() int { return len(p.out.b) + len(p.folders.b) }

// add adds an item, and reports whether there was memory for it.
func (p *listPage) add(item *kv.Item, keyOnly bool) bool {
	if item.Folder != "" {
		if !p.folders.grow(jsontext.StringSize(item.Folder) + len(",")) {
			return false
		}
		p.folders.b = append(jsontext.AppendText(p.folders.b, item.Folder), ',')
		return true
	}
	if !p.out.grow(recordSize(&item.Record) + len(",")) {
		return false
	}
	if p.records++; p.records > 1 {
		p.out.b = append(p.out.b, ',')
	}
	p.out.b = appendListed(p.out.b, &item.Record, keyOnly)
	return true
}

// finish adds what follows the records, and reports whether there was memory for it.
func (p *listPage) finish(cursor string, folded bool) bool {
	const names = 64
	if !p.out.grow(len(p.folders.b) + len(cursor) + names) {
		return false
	}
	out := append(p.out.b, ']')
	if folded {
		out = append(append(append(out, `,"folders":[`...), p.folders.b...), ']')
		if len(p.folders.b) > 0 {
			out = append(out[:len(out)-len(",]")], ']')
		}
	}
	if cursor != "" {
		out = append(append(append(out, `,"cursor":"`...), cursor...), '"')
	}
	p.out.b = append(out, "}\n"...)
	return true
}
