// Package disk makes a node's disk a separate file system, small enough to be filled, that can turn read-only while
// files are open, like a disk with errors. That needs root and loop devices; elsewhere a disk is a plain directory
// without faults.
package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// bytesOfDisk is enough for the log of an hour of fault injection. The image of the disk is sparse.
const bytesOfDisk = 2 << 30

// ErrNotHere reports that this machine cannot make file systems, or does not permit it.
var ErrNotHere = errors.New("disks that fail need root, loop devices, and ext4 with its tools")

// Disk is the disk of one node.
type Disk struct {
	Path  string // where it is mounted
	image string
	loop  string // its device, for example /dev/loop3
}

// New makes a disk and mounts it below a directory. The error wraps ErrNotHere if this machine cannot.
func New(dir, name string) (*Disk, error) {
	d := &Disk{Path: filepath.Join(dir, name), image: filepath.Join(dir, name+".img")}
	if os.Geteuid() != 0 {
		return nil, ErrNotHere
	}
	for _, step := range []func() error{
		func() error { return os.Mkdir(d.Path, 0o700) },
		func() error { return os.WriteFile(d.image, nil, 0o600) },
		func() error { return os.Truncate(d.image, bytesOfDisk) },
		// No blocks are reserved for root, because the nodes may run as root.
		func() error { return run("mkfs.ext4", "-q", "-m", "0", d.image) },
		d.attach,
		func() error {
			_, err := os.Stat(d.trigger())
			return err
		},
	} {
		if err := step(); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %w", ErrNotHere, err), d.Close())
		}
	}
	return d, nil
}

// attach attaches the image to a loop device, and mounts it.
func (d *Disk) attach() error {
	out, err := exec.Command("losetup", "--find", "--show", d.image).Output()
	if err != nil {
		return fmt.Errorf("losetup: %w", err)
	}
	d.loop = strings.TrimSpace(string(out))
	return run("mount", "-t", "ext4", "-o", "errors=remount-ro", d.loop, d.Path)
}

// detach unmounts the disk. No process may have a file open on it.
func (d *Disk) detach() error {
	if d.loop == "" {
		return nil
	}
	loop := d.loop
	d.loop = ""
	return errors.Join(run("umount", d.Path), run("losetup", "--detach", loop))
}

// trigger is the file in /sys that, when written to, makes the file system act as if its disk had an error.
func (d *Disk) trigger() string {
	return filepath.Join("/sys/fs/ext4", filepath.Base(d.loop), "trigger_fs_error")
}

func (d *Disk) ballast() string { return filepath.Join(d.Path, "ballast") }

// Fill leaves about so many bytes free.
func (d *Disk) Fill(leave int64) error {
	f, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	size := int64(0)
	for step := int64(bytesOfDisk); step >= 4096; {
		switch err := syscall.Fallocate(int(f.Fd()), 0, size, step); {
		case err == nil:
			size += step
		case errors.Is(err, syscall.ENOSPC):
			step /= 2
		default:
			return fmt.Errorf("fill %s: %w", d.Path, err)
		}
	}
	if err := f.Truncate(max(0, size-leave)); err != nil {
		return fmt.Errorf("fill %s: %w", d.Path, err)
	}
	return nil
}

// Drain removes the file of Fill.
func (d *Disk) Drain() error { return os.Remove(d.ballast()) }

// Break makes the disk read-only, also for open files: the kernel does it, as for a disk with errors.
func (d *Disk) Break() error { return os.WriteFile(d.trigger(), []byte("chaos\n"), 0o200) }

// Repair repairs a broken disk. The node must have ended.
func (d *Disk) Repair() error {
	if err := d.detach(); err != nil {
		return err
	}
	// fsck.ext4 exits with 1 if it corrected an error, as it does here: the superblock has a record of the error.
	err := run("fsck.ext4", "-y", "-f", d.image)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		err = nil
	}
	return errors.Join(err, d.attach())
}

// Close removes the disk with its contents.
func (d *Disk) Close() error {
	return errors.Join(d.detach(), os.RemoveAll(d.image), os.RemoveAll(d.Path))
}

func run(command ...string) error {
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
