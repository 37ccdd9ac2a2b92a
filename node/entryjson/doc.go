// Package entryjson encodes the entries of the log as JSON: as nodes send them to each other and the log viewer shows
// them, and the commands of the entries that the core creates itself.
//
// The log table has no column for an entry's type, and an older version sends none, so the type of an entry is a
// function of its command: TypeOf. It is called where entries come in, from the disk and from other nodes, and the core
// relies on it.
package entryjson
