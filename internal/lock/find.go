package lock

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// Find looks for a plugins.lock.toml in dir and the folders above it. If there
// is none, the error is of class [fault.Lock] and matches [fs.ErrNotExist].
func Find(dir string) (string, error) {
	name, err := FindAbove(dir, FileName)
	if errors.Is(err, fs.ErrNotExist) {
		hint := "run: lockgen update"
		if _, err := FindAbove(dir, "plugins.toml"); errors.Is(err, fs.ErrNotExist) {
			hint = "change to the folder of the project; for a new project, run: lockgen add protoc"
		}
		return "", fault.Missingf(fault.Lock, hint, "no %s here or in any folder above", FileName)
	}
	return name, err
}

func FindAbove(dir, name string) (string, error) {
	full, err := filepath.Abs(dir)
	if err != nil {
		return "", fault.Errorf(fault.Machine, "change to a folder that exists", "the working folder: %v", err)
	}
	for {
		candidate := filepath.Join(dir, name)
		if _, err := os.Stat(candidate); err == nil {
			return candidate, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		up := filepath.Dir(full)
		if up == full {
			return "", fs.ErrNotExist
		}
		full, dir = up, filepath.Join(dir, "..")
	}
}
