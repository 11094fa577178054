//go:build linux || darwin

package main

import (
	"context"
	"os"
	"syscall"
)

// become replaces this process by the plugin, which so gets our standard
// streams, our process id and every signal.
func become(_ context.Context, name string, args []string) error {
	return syscall.Exec(name, append([]string{name}, args...), os.Environ())
}

// identify returns the identity of a file, links followed.
func identify(name string) (identity, error) {
	info, err := os.Stat(name)
	if err != nil {
		return identity{}, err
	}
	id := identity{info.Size(), info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		id[2], id[3] = int64(st.Ino), changeTime(st)
	}
	return id, nil
}
