//go:build unix

package child

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// A group is a program and everything that it starts: a process group.
type group struct{ cmd *exec.Cmd }

func newGroup(cmd *exec.Cmd) *group {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	return &group{cmd}
}

func (g *group) started() {}
func (g *group) close()   {}

// kill kills the group, even if its leader has exited already.
func (g *group) kill() error {
	if g.cmd.Process == nil {
		return os.ErrProcessDone
	}
	err := syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
