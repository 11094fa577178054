//go:build !linux

package archive

import "os"

// Reflink returns false: this system shares no blocks, so the caller copies.
func Reflink(dst, src *os.File) bool { return false }
