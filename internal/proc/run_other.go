//go:build !linux

package proc

import (
	"errors"
	"os/exec"
)

// CutOff does nothing and returns false: this system cannot take the network from
// a program without special privileges.
func CutOff(*exec.Cmd) bool { return false }

func cutOffWith(*exec.Cmd, *Loopback) (serve func() error, err error) {
	return nil, errors.ErrUnsupported
}
