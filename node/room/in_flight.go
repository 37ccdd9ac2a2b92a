package room

// InFlight counts what the entries of a log may add that are not applied yet, so that the quota is overshot by no more
// than one command. It is not safe for concurrent use.
type InFlight struct {
	runs    []run
	total   int64
	entries int64
}

// run is some entries that follow each other.
type run struct {
	first, last uint64
	entries     int64
	growth      int64
}

// Add adds entries from first to last that may add growth bytes together. They replace what was added at and after
// first.
func (f *InFlight) Add(first, last uint64, growth int64) {
	for n := len(f.runs); n > 0 && f.runs[n-1].last >= first; n-- {
		end := &f.runs[n-1]
		if end.first < first {
			end.last = first - 1 // all of its growth stays: the bound is one of the whole run
			break
		}
		f.drop(end)
		f.runs = f.runs[:n-1]
	}
	if growth == 0 {
		return
	}
	added := run{first, last, int64(last - first + 1), growth}
	f.runs = append(f.runs, added)
	f.total += growth
	f.entries += added.entries
}

// Applied drops the runs up to an index. It keeps one that is applied in part.
func (f *InFlight) Applied(index uint64) {
	n := 0
	for n < len(f.runs) && f.runs[n].last <= index {
		f.drop(&f.runs[n])
		n++
	}
	if n > 0 {
		f.runs = append(f.runs[:0], f.runs[n:]...)
	}
}

func (f *InFlight) drop(r *run) {
	f.total -= r.growth
	f.entries -= r.entries
}

// Bytes returns what is in flight.
func (f *InFlight) Bytes() int64 { return f.total }

// Entries returns a bound of the number of entries that add these bytes.
func (f *InFlight) Entries() int64 { return f.entries }
