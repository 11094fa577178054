//go:build !windows

package ui

import "os"

// understands reports whether a terminal takes escape sequences.
func understands(*os.File) bool { return os.Getenv("TERM") != "dumb" }
