package pkgmgr

import (
	"os"
	"os/exec"
	"syscall"
)

// cutOff gives a program a network of its own with nothing in it. The kernel
// lets root do that, and others in a user namespace of their own, unless the
// machine forbids it: then Start fails and the caller tries without.
func cutOff(cmd *exec.Cmd) bool {
	attr := cmd.SysProcAttr
	attr.Cloneflags |= syscall.CLONE_NEWNET
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	}
	return true
}
