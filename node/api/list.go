package api

import "encoding/json"

// ListPage answers GET PathList: a page of the keys of a range in the order of their bytes, at one revision. The page
// that Cursor leads to continues it at the same revision, on any node.
type ListPage struct {
	Revision uint64   `json:"revision"`
	Records  []Record `json:"records"`
	// Folders are the folders among the keys, in the same order, with ParamDelimiter.
	Folders []string `json:"folders,omitempty"`
	Cursor  string   `json:"cursor,omitempty"` // absent: this is the last page
}

// ListLine is a line of the answer of GET PathList with Accept: application/x-ndjson, which is the whole range at one
// revision. The first of these that is there decides what the line is: Error, by which the server ends a list that it
// cannot complete; End, which is in the last line of a complete list; Folder; Record.Key. A list whose last line has
// neither Error nor End was cut off.
type ListLine struct {
	Record
	Folder string `json:"folder,omitempty"`
	// End is true in the last line, with the Revision of the list, and Count, the number of lines before it.
	End   bool   `json:"end,omitempty"`
	Count uint64 `json:"count,omitempty"`
	// Cursor is, in the last line, where the list continues if it ended because of ParamLimit.
	Cursor string `json:"cursor,omitempty"`
	Error  *Error `json:"error,omitempty"`
}

// CountResponse answers GET PathList with ParamCount: how many keys the range has at a revision.
type CountResponse struct {
	Revision uint64 `json:"revision"`
	Count    uint64 `json:"count"`
}

// HistoryPage answers GET PathKV with ParamHistory: the versions of a key, the newest first.
type HistoryPage struct {
	Key string `json:"key"`
	// Revision is the revision that the node had applied.
	Revision uint64 `json:"revision"`
	// CompactedRevision is where the history ends: versions that were replaced or deleted up to it are gone. 0: none is.
	CompactedRevision uint64    `json:"compacted_revision"`
	Versions          []Version `json:"versions"`
	// More reports whether there are older versions, which begin before the last revision in Versions (ParamBefore).
	More bool `json:"more,omitempty"`
}

// Version is a version of a key, or the deletion of it.
type Version struct {
	Revision uint64  `json:"revision"`
	Deleted  bool    `json:"deleted,omitempty"` // then nothing but the time follows
	Modified float64 `json:"modified"`
	// Value and Encoding are as in a Record.
	Value          json.RawMessage `json:"value,omitempty"`
	Encoding       string          `json:"encoding,omitempty"`
	ContentType    string          `json:"content_type,omitempty"`
	CreateRevision uint64          `json:"create_revision,omitempty"`
	Version        uint64          `json:"version,omitempty"`
}

// CompactRequest is the body of POST PathCompact: no revision before this one can be read any more.
type CompactRequest struct {
	Revision uint64 `json:"revision"`
}

// CompactResponse answers POST PathCompact, and is the result of a compact command.
type CompactResponse struct {
	// Revision is the oldest revision that can be read now: that of the request, or a later one if the history was
	// compacted further before.
	Revision uint64 `json:"revision"`
}
