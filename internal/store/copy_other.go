//go:build !linux

package store

import "os"

// reflink never shares blocks here; the caller copies.
func reflink(dst, src *os.File) bool { return false }
