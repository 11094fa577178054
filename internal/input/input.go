// Package input reads files that the user made, or that the user's settings
// name: they may be a pipe of the shell, a device, or no file at all.
package input

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/once"
)

// MaxSize limits a file, in bytes.
const MaxSize = 64 << 20

var (
	limit    int64 = MaxSize
	patience       = 10 * time.Second // for what is not a regular file
)

// streams has what was read from pipes and devices: they give it only once.
var streams once.Map[string, []byte]

// File is [os.ReadFile] for such a file. It always ends: after [MaxSize] bytes,
// and after a few seconds for a pipe that nobody writes to.
func File(name string) ([]byte, error) {
	if !IsStream(name) {
		return bounded(name)
	}
	return streams.Do(name, func() ([]byte, error) {
		type answer struct {
			data []byte
			err  error
		}
		said := make(chan answer, 1)
		go func() {
			data, err := bounded(name)
			said <- answer{data, err}
		}()
		select {
		case a := <-said:
			return a.data, a.err
		case <-time.After(patience):
			return nil, fault.Errorf(fault.Machine, "give the path of a file", "%s is not a regular file, and reading it did not end in %v", name, patience)
		}
	})
}

// IsStream reports whether a file may never end, or has its content only once.
func IsStream(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// Again returns the path of a file that other programs can read at any time: the
// file, or in the folder dir a copy of what [File] returned, which may be nothing.
func Again(name, dir string) string {
	if !IsStream(name) {
		return name
	}
	data, _ := File(name)
	copied := filepath.Join(dir, "input-"+filepath.Base(name))
	if os.WriteFile(copied, data, 0o600) != nil {
		return os.DevNull
	}
	return copied
}

func bounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var text bytes.Buffer
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		if info.Size() > limit {
			return nil, tooLarge(name)
		}
		text.Grow(int(info.Size()) + bytes.MinRead)
	}
	if n, err := text.ReadFrom(io.LimitReader(f, limit+1)); err != nil || n <= limit {
		return text.Bytes(), err
	}
	return nil, tooLarge(name)
}

func tooLarge(name string) error {
	return fault.Errorf(fault.Machine, "see that it is the right file", "%s has more than %d bytes", name, limit)
}
