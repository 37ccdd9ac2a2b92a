package storage

import "golang.org/x/sys/unix"

// isNetworkDisk reports whether a directory is on NFS or SMB: SQLite's write-ahead log needs shared memory and
// reliable locks, which neither has (trap S7).
func isNetworkDisk(dir string) (bool, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return false, err
	}
	switch uint32(fs.Type) { //nolint:gosec // the magic numbers have 32 bits, whatever the field has
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC:
		return true, nil
	}
	return false, nil
}
