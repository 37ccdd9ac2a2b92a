package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// printValue writes a result: text for table, the raw form for raw, and value as JSON otherwise.
func (p *program) printValue(value any, text, raw string) error {
	switch p.output {
	case "raw":
		return p.write(raw)
	case "table":
		return p.write(text)
	}
	return p.printJSON(value)
}

// printJSON writes a value as JSON: over several lines for json, on one for ndjson.
func (p *program) printJSON(value any) error {
	text, err := p.encode(value)
	if err != nil {
		return err
	}
	return p.write(text)
}

// encode returns a value as JSON, as printJSON writes it.
func (p *program) encode(value any) (string, error) {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if p.output == "json" {
		encoder.SetIndent("", "  ")
	}
	if err := encoder.Encode(value); err != nil {
		return "", err
	}
	if p.toTerminal {
		return escapedJSON(text.String()), nil
	}
	return text.String(), nil
}

// escapedJSON returns the same JSON with escapes for the characters that a terminal may act on. They occur in strings
// only.
func escapedJSON(text string) string {
	return escape(text, "\n", func(b *strings.Builder, r rune, _ string) {
		if high, low := utf16.EncodeRune(r); r > 0xffff {
			fmt.Fprintf(b, `\u%04x\u%04x`, high, low)
			return
		}
		fmt.Fprintf(b, `\u%04x`, r)
	})
}

// escapedValue returns a stored value with escapes like \x1b for characters that a terminal may act on, and for bytes
// that are not text. Line ends and tabs stay.
func escapedValue(text string) string {
	return escape(text, "\n\t", func(b *strings.Builder, _ rune, raw string) {
		quoted := strconv.Quote(raw)
		b.WriteString(quoted[1 : len(quoted)-1])
	})
}

// escape returns text with each character that is not printable replaced by what write writes for it. Those in keep
// stay.
func escape(text, keep string, write func(b *strings.Builder, r rune, raw string)) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		isText := r != utf8.RuneError || size > 1
		if isText && (unicode.IsPrint(r) || strings.ContainsRune(keep, r)) {
			b.WriteString(text[:size])
		} else {
			write(&b, r, text[:size])
		}
		text = text[size:]
	}
	return b.String()
}

func (p *program) write(text string) error {
	_, err := io.WriteString(p.stdout, text)
	return p.unwritten(err)
}

// unwritten returns the failure of a write to stdout, or nil.
func (p *program) unwritten(err error) error {
	if err == nil {
		return nil
	}
	message := "cannot write the output: " + err.Error()
	if p.changed {
		message = "done, but " + message
	}
	return &failure{code: exitFailed, message: message, cause: err}
}

// table aligns columns by their width on the screen.
type table struct {
	right []bool // columns of numbers
	rows  [][]string
}

func (t *table) add(cells ...string) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = printable(cell)
	}
	t.rows = append(t.rows, row)
}

// printable returns text from the network without the characters that a terminal would act on. Line ends stay.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// render returns the table with two spaces between columns and no trailing spaces.
func (t *table) render(b *strings.Builder) {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < len(t.right) && t.right[i] {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// grouped formats a number with commas: 10,482.
func grouped[T int | int64 | uint64](n T) string {
	text := strconv.FormatInt(int64(n), 10)
	sign := ""
	if n < 0 {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// bytesText formats a size: 84 MiB.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	if f < 10 && i > 0 {
		return fmt.Sprintf("%.1f %s", f, units[i])
	}
	return fmt.Sprintf("%.0f %s", f, units[i])
}

// age formats a duration with its two greatest units: 3d 4h.
func age(d time.Duration) string {
	seconds := int64(d / time.Second)
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm %ds", seconds/60, seconds%60)
	case seconds < 86400:
		return fmt.Sprintf("%dh %dm", seconds/3600, seconds%3600/60)
	}
	return fmt.Sprintf("%dd %dh", seconds/86400, seconds%86400/3600)
}

// millis formats milliseconds with about two significant digits: 3.1 ms, 112 ms.
func millis(ms float64) string {
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}
