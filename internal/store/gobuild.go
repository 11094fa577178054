package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// goBuildUse is the name of the lock that users of Go's build cache hold.
const goBuildUse = "go-build"

// GoBuild returns a folder for Go's build cache (GOCACHE), so that the standard
// library is compiled only once for each platform. Go removes old files from it
// by itself, but does not verify what it finds there. GoBuild therefore removes
// damaged files first, unless another process uses the folder and has already
// done so. Errors are of class [fault.Machine].
func (s *Store) GoBuild(ctx context.Context) (string, error) {
	s.buildMu.Lock()
	defer s.buildMu.Unlock()
	if _, err := s.mkdir("locks"); err != nil {
		return "", err
	}
	if unlock, ok := s.tryLock("use-" + goBuildUse); ok {
		err := s.checkGoBuild(ctx, func(name string, _ int64, why string) {
			if why != "" {
				remove(name)
			}
		})
		unlock()
		if err != nil {
			return "", err
		}
	}
	s.hold(goBuildUse)
	return s.mkdir("go-build")
}

// The layout of Go's build cache (cmd/go/internal/cache): XX/<SHA-256>-d is an
// output, a file or, for programs that were run, a folder with one file; XX is
// the first two digits. XX/<action>-a records the output of an action; Go
// ignores one that is malformed or whose output is missing.

func goBuildFolder(name string) bool { return len(name) == 2 && isHex(name) }

func goBuildOutput(name string) bool {
	digest, ok := strings.CutSuffix(name, "-d")
	return ok && syntax.CheckSHA256("output", digest) == nil
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// checkGoBuild calls tell for every output with its size and what is wrong with
// it, "" for nothing, and with size -1 for anything in the place of a folder or
// file. The caller holds the lock. Calls of tell do not overlap.
func (s *Store) checkGoBuild(ctx context.Context, tell func(name string, size int64, why string)) error {
	top := s.path("go-build")
	info, err := os.Lstat(top)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !info.IsDir() {
		tell(top, -1, "not a folder")
		return nil
	}
	entries, err := os.ReadDir(top)
	if err != nil {
		return s.refused(err)
	}
	var outputs []string
	for _, e := range entries {
		folder := filepath.Join(top, e.Name())
		switch {
		case goBuildFolder(e.Name()) != e.IsDir() && e.Name() != "fuzz":
			if goBuildFolder(e.Name()) || e.IsDir() {
				tell(folder, -1, "not what Go put there")
			}
			continue
		case !e.IsDir():
			continue
		}
		files, err := os.ReadDir(folder)
		if err != nil {
			tell(folder, -1, "it cannot be read")
			continue
		}
		for _, f := range files {
			name := filepath.Join(folder, f.Name())
			switch {
			case goBuildOutput(f.Name()):
				outputs = append(outputs, name)
			case strings.HasSuffix(f.Name(), "-a") && !f.Type().IsRegular():
				tell(name, -1, "not a file")
			}
		}
	}
	var mu sync.Mutex
	return archive.ForEach(ctx, len(outputs), func(i int) error {
		size, why, err := checkOutput(ctx, outputs[i])
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		tell(outputs[i], size, why)
		return nil
	})
}

// checkOutput compares an output with its name.
func checkOutput(ctx context.Context, name string) (size int64, why string, err error) {
	want := strings.TrimSuffix(filepath.Base(name), "-d")
	if info, err := os.Lstat(name); err == nil && info.IsDir() {
		files, err := os.ReadDir(name)
		if err != nil || len(files) != 1 {
			return 0, "not one program", nil
		}
		name = filepath.Join(name, files[0].Name())
	}
	if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return 0, "not a file", nil
	}
	f, err := os.Open(name)
	if err != nil {
		return 0, "it cannot be read", nil
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, archive.WithContext(ctx, f))
	switch {
	case ctx.Err() != nil:
		return 0, "", ctx.Err()
	case err != nil:
		return size, err.Error(), nil
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return size, "its digest is " + got, nil
	}
	return size, "", nil
}
