package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// inspectProcess reads the state of every thread of a process.
func inspectProcess(pid int) processState {
	var p processState
	switch threadState(pid, pid) {
	case 0, 'Z', 'X':
		p.ended = true
	case 'T', 't':
		p.stopped = true
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return p
	}
	for _, task := range tasks {
		thread, err := strconv.Atoi(task.Name())
		if err != nil {
			continue
		}
		if threadState(pid, thread) == 'D' {
			p.stuck = append(p.stuck, thread)
		} else {
			p.able = append(p.able, thread)
		}
	}
	return p
}

// threadState is the letter for the state of a thread, 0 if there is none.
func threadState(pid, thread int) byte {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/stat", pid, thread))
	if err != nil {
		return 0
	}
	// 4711 (name, of any characters) S ...
	if end := bytes.LastIndexByte(stat, ')'); end >= 0 && end+2 < len(stat) {
		return stat[end+2]
	}
	return 0
}

// quitThread sends SIGQUIT to one thread.
func quitThread(pid, thread int) error { return unix.Tgkill(pid, thread, syscall.SIGQUIT) }
