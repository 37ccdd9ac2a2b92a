// Package jsontext reads and writes JSON (RFC 8259) on the hot paths: a scanner for text in one exact spelling, a
// validator, appenders, lists that are decoded element by element, and the comparison of values by their meaning. Every
// other spelling is read by encoding/json. DESIGN.md has the figures that justify a second mechanism.
//
// The package contains no message and no field: the package that owns a format keeps the list of its fields.
package jsontext
