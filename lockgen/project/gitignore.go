package project

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
)

// Ignore returns the line that makes git ignore Buck2's output. ok is false if
// the project is not in a git repository, or ignores it already.
func Ignore(root string) (w files.Write, ok bool, err error) {
	w.Name = filepath.Join(root, ".gitignore")
	for dir := root; ; dir = filepath.Dir(dir) {
		text, err := input.File(filepath.Join(dir, ".gitignore"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return w, false, err
		}
		if dir == root && err == nil {
			w.Before = text
		}
		for line := range strings.Lines(string(text)) {
			if slices.Contains([]string{"buck-out", "**/buck-out", "/buck-out"}, strings.TrimSuffix(strings.TrimSpace(line), "/")) {
				return w, false, nil
			}
		}
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			return w, false, nil
		}
	}
	text, newline := string(w.Before), "\n"
	if strings.Contains(text, "\r\n") {
		newline = "\r\n"
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += newline
	}
	w.After = []byte(text + "/buck-out" + newline)
	return w, true, nil
}
