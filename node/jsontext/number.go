package jsontext

import (
	"strconv"
	"strings"
)

// IsInteger reports whether text is a JSON integer other than -0, in plain digits: the one spelling of its value.
func IsInteger(text []byte) bool {
	if len(text) == 0 || (text[0] != '-' && !isDigit(text[0])) {
		return false
	}
	start := 0
	if text[0] == '-' {
		start = 1
	}
	end := skipDigits(text, start)
	return end == len(text) && end > start && string(text) != "-0" && (text[start] != '0' || end == start+1)
}

// decimal is a number as 0.digits times ten to the exponent, with no zero at either end of digits: equal numbers
// have equal decimals. Zero has no digits, exponent 0 and no sign.
type decimal struct {
	negative bool
	digits   string
	exponent int64
	huge     string // the exponent as written, if it has more than 17 digits
}

// decimalOf parses a JSON number. Exponents beyond 17 digits are compared as written.
func decimalOf(number string) decimal {
	var d decimal
	number, d.negative = strings.CutPrefix(number, "-")
	mantissa, power := number, ""
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		mantissa, power = number[:i], strings.TrimPrefix(number[i+1:], "+")
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	d.digits = strings.TrimLeft(whole+fraction, "0")
	d.exponent = int64(len(d.digits) - len(fraction))
	d.digits = strings.TrimRight(d.digits, "0")
	if d.digits == "" {
		return decimal{}
	}
	d.scale(power)
	return d
}

// scale multiplies by ten to the given power, a decimal integer or empty.
func (d *decimal) scale(power string) {
	sign := ""
	if strings.HasPrefix(power, "-") {
		sign, power = "-", power[1:]
	}
	power = strings.TrimLeft(power, "0")
	if power == "" {
		return
	}
	if len(power) > 17 {
		d.huge = sign + power
		return
	}
	n, err := strconv.ParseInt(sign+power, 10, 64)
	if err != nil {
		panic("jsontext: exponent of a JSON number has characters other than digits: " + power)
	}
	d.exponent += n
}
