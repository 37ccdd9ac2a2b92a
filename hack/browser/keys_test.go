package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
)

// hostile are keys and values that an attacker, or a faulty program, might write.
var hostile = map[string]string{
	"markup":        `<img src=x onerror="window.hacked = true">`,
	"script":        `"></script><script>window.hacked = true</script>`,
	"template":      "${window.hacked = true} `${1}` {{constructor}}",
	"right to left": "abc\u202egnp.exe\u2066x",
	"nul and bell":  "a\x00b\x07c",
	"zero width":    "pay\u200bpal",
	"slashes":       "a//b/../c",
	"percent":       "100%25%2F?#&=+ ",
	"hebrew":        "שלום/עולם",
	"emoji":         "👩‍👩‍👧 key",
	"long":          strings.Repeat("k", 600),
	"newline":       "first\nsecond",
}

func TestHostileKeysAndValuesAreText(t *testing.T) {
	c := startFake(t, 3)
	for _, text := range hostile {
		c.put(text, text, 40)
		command, _ := json.Marshal(map[string]string{"op": "set", "key": text, "value": text})
		c.append(command)
	}
	p := c.open(t, wide)
	p.until("the log", fmt.Sprintf(`document.querySelector('.index')?.innerText === '%d'`, 40+len(hostile)))
	for name, text := range hostile {
		p.eval(`location.hash = '#/keys?key=`+url.QueryEscape(text)+`'`, nil)
		key, _ := json.Marshal(escaped(text, false)[:min(len(escaped(text, false)), 250)])
		value, _ := json.Marshal(escaped(text, true))
		p.until(name+" is shown as text", fmt.Sprintf(`document.querySelector('.key-name').textContent.startsWith(%s) &&
			document.querySelector('.key-value pre').textContent === %s`, key, value))
	}
	p.eval(`location.hash = '#/log'`, nil)
	p.until("the log again", `document.querySelector('.log-view .entry')`)
	var hacked bool
	p.eval(`Boolean(window.hacked) || document.querySelectorAll('#app img, #app script').length > 0`, &hacked)
	if hacked {
		t.Error("text from the store became markup")
	}
}

func TestLogShowsTheValueOfEveryKindOfPut(t *testing.T) {
	c := startFake(t, 3)
	c.append([]byte(`{"op":"put","key":"text","value":"blue"}`))
	c.append([]byte(`{"op":"put","key":"structured","json":{"color":"red"}}`))
	p := c.open(t, wide)
	p.until("both values", `[...document.querySelectorAll('.entry')].some((e) => e.innerText.includes('= "blue"')) &&
		[...document.querySelectorAll('.entry')].some((e) => e.innerText.includes('= {"color":"red"}'))`)
}

// escaped is how the page draws hidden characters.
func escaped(text string, lines bool) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' && lines:
			b.WriteRune(r)
		case r < 0x20 || (r >= 0x200b && r <= 0x200f) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069):
			fmt.Fprintf(&b, "U+%04X", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func TestAMegabyteDoesNotFreezeThePage(t *testing.T) {
	c := startFake(t, 3)
	c.put("big", strings.Repeat("0123456789abcdef", 1<<16), 36)
	p := c.open(t, wide)
	p.eval(`location.hash = '#/keys?key=big'`, nil)
	p.sees("1,048,576 characters")
	p.until("it is cut", `document.querySelector('.key-value pre').textContent.length === 65536`)
	p.click("Show all")
	p.until("all of it", `document.querySelector('.key-value pre').textContent.length === 1048576`)
}

func TestKeysOfEveryKindOfValue(t *testing.T) {
	c := startFake(t, 3)
	c.keys["json"] = api.Record{
		Key: "json", Value: json.RawMessage(`{"a":12345678901234567890,"b":"x"}`),
		RecordMeta: api.RecordMeta{ContentType: "application/json", ModRevision: 5},
	}
	c.keys["bytes"] = api.Record{
		Key: "bytes", Value: json.RawMessage(`"/wA="`),
		RecordMeta: api.RecordMeta{ContentType: "application/octet-stream", Encoding: "base64", ModRevision: 6},
	}
	p := c.open(t, wide)
	p.eval(`location.hash = '#/keys?key=json'`, nil)
	p.until("every digit", `document.querySelector('.key-value pre').textContent === '{"a":12345678901234567890,"b":"x"}'`)
	p.eval(`location.hash = '#/keys?key=bytes'`, nil)
	p.sees("The value is not text; this is its base64.")
	p.eval(`location.hash = '#/keys?key=absent'`, nil)
	p.sees("This key does not exist.")
	p.eval(`location.hash = '#/keys?key=..'`, nil)
	p.sees("A browser cannot put the key")
}

func TestAnEditThatLosesTheRaceLosesNothing(t *testing.T) { // If-Match, 412, both versions
	c := startFake(t, 3)
	c.put("cfg/a", "old", 36)
	p := c.open(t, wide)
	p.eval(`location.hash = '#/keys?key=cfg%2Fa'`, nil)
	p.click("Edit")
	p.fill("value", "mine")
	c.put("cfg/a", "theirs", 41)
	p.click("Save")
	p.sees("Another client has changed this key.")
	p.until("both are shown",
		`[...document.querySelectorAll('.versions pre')].map((e) => e.innerText).join() === 'mine,theirs'`)
	p.click("Keep mine, based on theirs")
	p.click("Save")
	p.until("it is saved",
		`document.querySelector('.key-value pre')?.innerText === 'mine' && !document.querySelector('.editor')`)
	p.sees("revision 42")
}

func TestADraftSurvivesLookingElsewhere(t *testing.T) {
	c := startFake(t, 3)
	c.put("cfg/a", "old", 36)
	p := c.open(t, wide)
	p.eval(`location.hash = '#/keys?key=cfg%2Fa'`, nil)
	p.click("Edit")
	p.fill("value", "half-typed")
	p.eval(`location.hash = '#/log'`, nil)
	p.sees("Following the end")
	p.eval(`location.hash = '#/keys?key=cfg%2Fa'`, nil)
	p.until("the draft", `document.querySelector('textarea[name=value]')?.value === 'half-typed'`)
}

func TestDeletingAsksForTheName(t *testing.T) {
	c := startFake(t, 3)
	c.put("cfg/a", "old", 36)
	p := c.open(t, wide)
	p.eval(`location.hash = '#/keys?key=cfg%2Fa'`, nil)
	p.click("Delete…")
	p.until("the button with the focus is the harmless one", `document.activeElement.innerText === 'Keep it'`)
	p.until("the other does nothing yet", `document.querySelector('button.danger').disabled`)
	p.fill("confirm", "cfg/a")
	p.click("Delete")
	p.sees("This key does not exist.")
}

func TestWithoutALeaderAnOldValueIsCalledOld(t *testing.T) {
	c := startFake(t, 5)
	c.put("cfg/a", "old", 36)
	p := c.open(t, wide)
	p.until("the log", `document.querySelector('.index')`)
	c.alter(func(s *api.ClusterStatus) { lose(s, 2, 4, 5) })
	p.until("no quorum", `document.title.startsWith('No quorum')`)
	p.eval(`location.hash = '#/keys?key=cfg%2Fa'`, nil)
	p.sees("from node 1, may be old")
}

func TestTheCommandBox(t *testing.T) {
	c := startFake(t, 3)
	p := c.open(t, wide)
	p.eval(`(() => { window.copied = [];
		navigator.clipboard.writeText = async (text) => { window.copied.push(text); }; })()`, nil)
	bodies := map[string]string{
		"set": `{"op":"set","key":"it's","value":12345678901234567890}`, "get": `{"op":"get","key":"it's"}`,
		"incr":   `{"op":"incr","key":"it's","by":2}`,
		"cas":    `{"op":"cas","key":"it's","expected":null,"value":12345678901234567890}`,
		"delete": `{"op":"delete","key":"it's"}`,
	}
	p.fill("key", "it's")
	p.fill("value", "12345678901234567890")
	for op, body := range bodies {
		p.fill("op", op)
		if op == "incr" {
			p.fill("by", "2")
		}
		p.click("Run")
		p.until(op+" was sent as expected",
			fmt.Sprintf(`document.querySelector('.sent').textContent === %q && document.querySelector('.answer-ok')`, body))
		p.click("copy as curl")
		quoted := strings.ReplaceAll(body, "'", `'\''`)
		line := "curl -s -X POST -H 'Content-Type: application/json' --data-binary '" + quoted + "' '" +
			c.server.URL + "/api/command'"
		p.until(op+" as curl", fmt.Sprintf(`window.copied.at(-1) === %q`, line))
	}
	p.click("JSON")
	p.fill("raw", `{"op":`)
	p.click("Run")
	p.sees("This is not JSON")
}

func TestAnErrorIsAnAnswer(t *testing.T) {
	c := startFake(t, 3)
	c.answers["POST /api/command"] = answer{
		http.StatusGatewayTimeout,
		`{"error":{"code":"outcome_unknown","message":"it may or may not take effect"}}`,
	}
	p := c.open(t, wide)
	p.click("Run")
	p.sees("outcome_unknown: it may or may not take effect")
	p.sees("Read the key before repeating an incr.")
}
