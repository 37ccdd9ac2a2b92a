//go:build !linux

package storage

import "os"

// writeBack has the system write what was written to a file. On this system it waits for that.
func writeBack(file *os.File) error { return file.Sync() }

// writePartBack does nothing on this system: the sync that follows does all the work.
func writePartBack(*os.File, int64, int64) error { return nil }

// forgetPages has what was written to a file go to the disk. On this system the next reads may come from memory.
func forgetPages(file *os.File) error { return file.Sync() }
