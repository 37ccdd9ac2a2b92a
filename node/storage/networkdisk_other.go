//go:build !linux

package storage

// isNetworkDisk cannot tell on this system.
func isNetworkDisk(string) (bool, error) { return false, nil }
