package kv

import "sort"

// changeList is changes of a store in the order in which they were made. It is made of blocks, so that no append copies
// it.
type changeList struct {
	blocks []*block
	base   uint64 // number of the first change in blocks[0]: changes are numbered from 0
	first  uint64 // number of the first change that is held
	next   uint64 // number of the next change
	freed  int64  // bytes of history that all changes so far made
}

const blockSize = 256

type block struct {
	entries [blockSize]listed
	freed   int64 // bytes of history that the changes before this block made
}

// listed is a change: the version that it made, and the key.
type listed struct {
	made *version
	item *item
}

// freed returns the bytes that the change moved to the history: what it ended, and its tombstone.
func (c listed) freed() int64 {
	var bytes int64
	if old := c.item.before(c.made); old != nil {
		bytes += old.size()
	}
	if c.made.isTombstone() {
		bytes += c.made.size()
	}
	return bytes
}

func (l *changeList) append(c listed, freed int64) {
	i := l.next - l.base
	if i == uint64(len(l.blocks))*blockSize {
		l.blocks = append(l.blocks, &block{freed: l.freed})
	}
	l.blocks[i/blockSize].entries[i%blockSize] = c
	l.next++
	l.freed += freed
}

func (l *changeList) at(number uint64) listed {
	i := number - l.base
	return l.blocks[i/blockSize].entries[i%blockSize]
}

// after returns the number of the first change after a revision.
func (l *changeList) after(revision uint64) uint64 {
	n := sort.Search(int(l.next-l.first), func(i int) bool { return l.at(l.first+uint64(i)).made.ModRevision > revision })
	return l.first + uint64(n)
}

// drop forgets the first change.
func (l *changeList) drop() {
	i := l.first - l.base
	l.blocks[0].entries[i] = listed{}
	l.first++
	if i+1 == blockSize {
		l.blocks[0] = nil
		l.blocks = l.blocks[1:]
		l.base += blockSize
	}
}

// blockOf returns the index of the block of a change.
func (l *changeList) blockOf(number uint64) int { return int((number - l.base) / blockSize) }

// end returns the number behind the last change of a block, and the bytes of history that the changes up to it made.
func (l *changeList) end(block int) (number uint64, freed int64) {
	if block+1 < len(l.blocks) {
		return l.base + uint64(block+1)*blockSize, l.blocks[block+1].freed
	}
	return l.next, l.freed
}

// freedAtLeast returns a number that is not more than freedBefore. It is known without reading any change.
func (l *changeList) freedAtLeast(number uint64) int64 { return l.blocks[l.blockOf(number)].freed }

// freedBefore returns the bytes of history that the changes before one made.
func (l *changeList) freedBefore(number uint64) int64 {
	n, bytes := l.end(l.blockOf(number))
	for ; n > number; n-- {
		bytes -= l.at(n - 1).freed()
	}
	return bytes
}

// freeing returns the number of the first change, from one on, with which the changes so far made at least so many
// bytes of history.
func (l *changeList) freeing(bytes int64, from uint64) uint64 {
	first := l.blockOf(from)
	block := first + sort.Search(len(l.blocks)-1-first, func(i int) bool { return l.blocks[first+i+1].freed >= bytes })
	n, before := l.end(block)
	for n--; n > from; n-- {
		if before -= l.at(n).freed(); before < bytes {
			break
		}
	}
	return n
}
