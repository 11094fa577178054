package main

import (
	"context"
	"errors"
	"os"
	"os/exec"

	"github.com/birbparty/buck2-protobuf/internal/child"
)

// become runs the plugin as a child with our standard streams and ends with
// its exit status.
func become(ctx context.Context, name string, args []string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	p, err := child.Start(cmd)
	if err == nil {
		err = p.Wait()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exitStatus(exit.ExitCode())
	}
	return err
}
