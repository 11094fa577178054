//go:build !linux

package archive

import "os"

// Reflink never shares blocks here; the caller copies.
func Reflink(dst, src *os.File) bool { return false }
