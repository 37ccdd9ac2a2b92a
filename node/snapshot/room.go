package snapshot

import "github.com/kontiki-dev/kontiki/node/kv"

// pageSize is that of the file of a checkpoint, and rowCost about what a record takes there beside what package kv
// counts for it.
const (
	pageSize = 4096
	rowCost  = 100
)

// Files are the sizes of the files of a checkpoint.
type Files struct {
	State    int64 // of the file, with the pages that are in its write-ahead log alone
	Owed     int64 // bytes of these pages: the file grows by them when they are copied
	Reusable int64 // bytes of it that hold nothing: what is added uses them first
	Spare    int64 // bytes of its write-ahead log that the next transaction overwrites
}

// Room returns about how many bytes of the disk a checkpoint of a volume takes, with what the last ones will take yet,
// and how many of those that are reusable it leaves. What it writes goes through the write-ahead log, and so does the
// rest of each page that it changes: one for each key, unless they share pages. A record that is longer than a page
// begins a page of its own.
func (f Files) Room(v kv.Volume) (takes, leaves int64) {
	rows := v.Made + v.Records*rowCost + min(v.Records*pageSize, v.Made/4)
	pages := min((v.Records+v.Removals)*pageSize, f.State)
	return f.Owed + max(0, rows-f.Reusable) + max(0, rows+v.Ended+pages-f.Spare), max(0, f.Reusable-rows)
}
