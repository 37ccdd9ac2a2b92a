//go:build unix

package budget

import "golang.org/x/sys/unix"

// descriptorLimit returns how many descriptors the process may have open. Go raises the soft limit to the hard one.
func descriptorLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return unknownDescriptors
	}
	return int(min(limit.Cur, mostDescriptors))
}
