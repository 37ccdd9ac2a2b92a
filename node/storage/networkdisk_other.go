//go:build !linux

package storage

// isNetworkDisk returns false on this system.
func isNetworkDisk(string) (bool, error) { return false, nil }
