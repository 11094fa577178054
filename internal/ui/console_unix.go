//go:build !windows

package ui

import "os"

// understands reports whether a terminal supports escape sequences.
func understands(*os.File) bool { return os.Getenv("TERM") != "dumb" }
