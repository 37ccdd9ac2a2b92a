package entryjson

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// maxSeconds is a bound below which any number of seconds can be counted in microseconds.
const maxSeconds = math.MaxInt64/1_000_000 - 1

// AppendSeconds appends a time in microseconds as decimal seconds with six places, exactly.
func AppendSeconds(dst []byte, micros int64) []byte {
	if micros < 0 {
		dst = append(dst, '-')
		micros = -micros
	}
	dst = strconv.AppendInt(dst, micros/1e6, 10)
	dst = append(dst, '.')
	var digits [7]byte // on the stack: this runs for every entry that is sent
	fraction := strconv.AppendInt(digits[:0], 1e6+micros%1e6, 10)
	return append(dst, fraction[1:]...)
}

// parseSeconds reads decimal seconds as microseconds, exactly: through float64 a time of today would lose its
// last digit. It takes what JSON calls a number, without exponent and with at most six places that matter.
func parseSeconds(text string) (int64, error) {
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	if kept := strings.TrimRight(fraction, "0"); len(kept) > 6 {
		return 0, fmt.Errorf("timestamp %s has parts of a microsecond; at most six decimals are kept", text)
	}
	fraction = (fraction + "000000")[:6]
	seconds, err := strconv.ParseUint(whole, 10, 64)
	if err != nil || seconds > maxSeconds {
		return 0, fmt.Errorf("timestamp %q is not a time in decimal seconds without exponent", text)
	}
	micros, err := strconv.ParseUint(fraction, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("timestamp %q is not a time in decimal seconds without exponent", text)
	}
	total := int64(seconds*1e6 + micros)
	if negative {
		total = -total
	}
	return total, nil
}

// scanSeconds reads a field of decimal seconds with exactly six places, as AppendSeconds writes them.
func scanSeconds(s *jsontext.Scanner, name string) int64 {
	s.Want(name)
	negative := s.Take("-")
	seconds := s.Digits(maxSeconds)
	s.Want(".")
	micros := int64(seconds)*1e6 + s.Places(6)
	if negative {
		s.Fail(micros == 0)
		return -micros
	}
	return micros
}
