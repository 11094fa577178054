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

// Ask runs a program, which gets nothing of the user's and no network, and
// reads what version it says it has.
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
	// Releases of protoc from 21 on are called without the 3 that it prints.
	if rest, ok := strings.CutPrefix(version, "3."); ok && strings.HasPrefix(string(out), "libprotoc ") {
		if c, _ := proc.CompareToolVersions(rest, "21"); c >= 0 {
			version = rest
		}
	}
	return version, nil
}
