package npm

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// shimmed finds the script that a shim runs: .cmd files and shell scripts from
// npm and pnpm have the form of the package cmd-shim.
var shimmed = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?:%~?dp0%?|\$basedir)[\\/]+([^"$%]+\.[cm]?js)"`) })

// NodeScript returns the script behind a program on PATH, or "" if the program
// does not need node. A shim would look for node on the user's PATH, which the
// sandbox does not have, so we run its script directly.
func NodeScript(program string) (string, error) {
	real, err := filepath.EvalSymlinks(program)
	if err != nil {
		return "", err
	}
	f, err := os.Open(real)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, 4<<10)
	n, _ := f.Read(head)
	head = head[:n]
	shim := shimmed().FindSubmatch(head)
	line, _, _ := bytes.Cut(head, []byte("\n"))
	switch ext := strings.ToLower(filepath.Ext(real)); {
	case strings.Contains(filepath.ToSlash(real), "/corepack/") || bytes.Contains(head, []byte("corepack")):
		return "", errors.New("it is a shim of corepack, which downloads the manager when it runs")
	case shim != nil && (ext == ".cmd" || bytes.HasPrefix(head, []byte("#!"))):
		return filepath.Join(filepath.Dir(real), filepath.FromSlash(strings.ReplaceAll(string(shim[1]), `\`, "/"))), nil
	case bytes.HasPrefix(head, []byte("#!")) && bytes.Contains(line, []byte("node")), ext == ".js", ext == ".cjs", ext == ".mjs":
		return real, nil
	case bytes.HasPrefix(head, []byte("#!")), ext == ".cmd", ext == ".bat", ext == ".ps1":
		return "", errors.New("it is a script that only works in the user's environment")
	}
	return "", nil
}
