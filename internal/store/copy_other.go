//go:build !linux

package store

import "os"

// reflink never shares blocks here; the caller copies.
func reflink(dst, src *os.File) bool { return false }

// syncDir does nothing: Windows cannot, and macOS orders a rename after the
// data that was flushed before it.
func syncDir(string) error { return nil }
