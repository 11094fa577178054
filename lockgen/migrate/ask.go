package migrate

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
)

// Ask runs a program with --version in a sandbox, and returns the version that
// it prints.
func Ask(ctx context.Context, path string) (string, error) {
	home, err := os.MkdirTemp("", "lockgen-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(home)
	out, err := proc.Sandbox{Name: filepath.Base(path), Path: files.Absolute(path), Args: []string{"--version"}, Dir: home, Home: home}.Run(ctx)
	if err != nil {
		return "", err
	}
	version := proc.SaidVersion(string(out))
	if version == "" {
		return "", errors.New("it printed no version")
	}
	// Since release 21, protoc prints a major version 3 that is not part of the
	// release's name.
	if rest, ok := strings.CutPrefix(version, "3."); ok && strings.HasPrefix(string(out), "libprotoc ") {
		if c, _ := proc.CompareToolVersions(rest, "21"); c >= 0 {
			version = rest
		}
	}
	return version, nil
}
