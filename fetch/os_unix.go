//go:build linux || darwin

package main

import (
	"context"
	"os"
	"syscall"
)

// become replaces this process with the plugin, which thereby gets our standard
// streams, our process ID and every signal.
func become(_ context.Context, name string, args []string) error {
	return syscall.Exec(name, append([]string{name}, args...), os.Environ())
}
