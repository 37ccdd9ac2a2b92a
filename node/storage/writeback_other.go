//go:build !linux

package storage

import "os"

// writeBack has the system write what was written to a file. On this system it waits for that.
func writeBack(file *os.File) error { return file.Sync() }
