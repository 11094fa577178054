package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ignore is the line that keeps git from Buck2's output, where the project is in a
// repository of git. Ok is false where there is none, or it is said already.
func ignore(root string) (w write, ok bool, err error) {
	w.name = filepath.Join(root, ".gitignore")
	for dir := root; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, ".gitignore"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return w, false, err
		}
		if dir == root && err == nil {
			w.before = text
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
	text, newline := string(w.before), "\n"
	if strings.Contains(text, "\r\n") {
		newline = "\r\n"
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += newline
	}
	w.after = []byte(text + "/buck-out" + newline)
	return w, true, nil
}
