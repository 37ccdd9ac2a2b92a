package storage

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// looks is how often the table of locks is read: the system returns it in parts, and leaves a lock out if others are
// given up between two parts.
const looks = 5

// lockHolders lists the processes that hold locks of a kind (POSIX or FLOCK) on a file, from /proc/locks, which does
// not show those of other containers.
func lockHolders(kind, path string) []int {
	var file unix.Stat_t
	if unix.Stat(path, &file) != nil {
		return nil
	}
	for range looks {
		if pids := lookForHolders(kind, &file); len(pids) > 0 {
			return pids
		}
	}
	return nil
}

func lookForHolders(kind string, file *unix.Stat_t) []int {
	table, err := os.ReadFile("/proc/locks")
	if err != nil {
		return nil
	}
	device := uint64(file.Dev)
	name := fmt.Sprintf("%02x:%02x:%d", unix.Major(device), unix.Minor(device), file.Ino)
	var pids []int
	for line := range strings.Lines(string(table)) {
		// 1: POSIX  ADVISORY  WRITE 4711 fe:00:131 120 120; a process that waits has "->" after the number
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != kind || fields[5] != name {
			continue
		}
		if pid, err := strconv.Atoi(fields[4]); err == nil && pid > 0 && !slices.Contains(pids, pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}
