//go:build linux || darwin

package main

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// become replaces this process with the plugin, which thereby gets our standard
// streams, our process ID and every signal.
func become(_ context.Context, name string, args []string) error {
	err := syscall.Exec(name, append([]string{name}, args...), os.Environ())
	hint := "start it yourself, to see what it needs"
	if errors.Is(err, syscall.EACCES) {
		hint = "if the file system of the cache is mounted noexec, set BUCK2_PROTOBUF_CACHE_DIR to a folder on another one"
	}
	return fault.Errorf(fault.Machine, hint, "%s does not start: %w", name, err)
}
