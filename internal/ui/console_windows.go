package ui

import (
	"os"

	"golang.org/x/sys/windows"
)

// understands turns on escape sequences and reports whether the console supports
// them.
func understands(f *os.File) bool {
	h := windows.Handle(f.Fd())
	var mode uint32
	if err := windows.GetConsoleMode(h, &mode); err != nil {
		return false
	}
	const sequences = windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING
	return mode&sequences != 0 || windows.SetConsoleMode(h, mode|sequences) == nil
}
