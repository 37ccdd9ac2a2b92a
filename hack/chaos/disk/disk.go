// Package disk makes a node's disk a file system of its own, small enough to be filled, that can go read-only under
// the node's feet as a disk with errors does. That wants root and loop devices; elsewhere a disk is a mere directory,
// to which neither happens.
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

// bytesOfDisk is enough for the log of an hour of chaos. The image of the disk is sparse.
const bytesOfDisk = 2 << 30

// ErrNotHere says that this machine has no way to make file systems, or does not let us.
var ErrNotHere = errors.New("disks that fail need root, loop devices, and ext4 with its tools")

// Disk is the disk of one node.
type Disk struct {
	Path  string // where it is mounted
	image string
	loop  string // its device, like /dev/loop3
}

// New makes a disk and mounts it below a directory. An error wraps ErrNotHere if that cannot be done here.
func New(dir, name string) (*Disk, error) {
	d := &Disk{Path: filepath.Join(dir, name), image: filepath.Join(dir, name+".img")}
	if os.Geteuid() != 0 {
		return nil, ErrNotHere
	}
	for _, step := range []func() error{
		func() error { return os.Mkdir(d.Path, 0o700) },
		func() error { return os.WriteFile(d.image, nil, 0o600) },
		func() error { return os.Truncate(d.image, bytesOfDisk) },
		// No blocks are kept back for root, whom the nodes may run as.
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

// attach makes the image a device, and mounts it.
func (d *Disk) attach() error {
	out, err := exec.Command("losetup", "--find", "--show", d.image).Output()
	if err != nil {
		return fmt.Errorf("losetup: %w", err)
	}
	d.loop = strings.TrimSpace(string(out))
	return run("mount", "-t", "ext4", "-o", "errors=remount-ro", d.loop, d.Path)
}

// detach unmounts the disk. Nobody must have a file open on it.
func (d *Disk) detach() error {
	if d.loop == "" {
		return nil
	}
	loop := d.loop
	d.loop = ""
	return errors.Join(run("umount", d.Path), run("losetup", "--detach", loop))
}

// trigger is the file into which whoever writes makes the file system believe that its disk has an error.
func (d *Disk) trigger() string {
	return filepath.Join("/sys/fs/ext4", filepath.Base(d.loop), "trigger_fs_error")
}

func (d *Disk) ballast() string { return filepath.Join(d.Path, "ballast") }

// Fill leaves no byte free.
func (d *Disk) Fill() error {
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
	return nil
}

// Drain takes away what Fill put there.
func (d *Disk) Drain() error { return os.Remove(d.ballast()) }

// Break makes the disk read-only, also for who has files open on it: the kernel does it, as for a disk with errors.
func (d *Disk) Break() error { return os.WriteFile(d.trigger(), []byte("chaos\n"), 0o200) }

// Repair makes a broken disk whole. The node must have ended.
func (d *Disk) Repair() error {
	if err := d.detach(); err != nil {
		return err
	}
	// fsck.ext4 exits with 1 if it mended something, which it will: the error is noted in the superblock.
	err := run("fsck.ext4", "-y", "-f", d.image)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		err = nil
	}
	return errors.Join(err, d.attach())
}

// Close removes the disk with what is on it.
func (d *Disk) Close() error {
	return errors.Join(d.detach(), os.RemoveAll(d.image), os.RemoveAll(d.Path))
}

func run(command ...string) error {
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
