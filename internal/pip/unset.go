package pip

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Unset reports whether no pip of this machine is configured to reach an index in
// some way of its own: no variable says so, and there is none of the files that pip
// reads (https://pip.pypa.io/en/stable/topics/configuration/). It starts nothing,
// and is false where it cannot tell without.
func Unset() bool {
	if runtime.GOOS != "linux" { // other systems have other places
		return false
	}
	for _, kv := range os.Environ() {
		key, value, _ := strings.Cut(kv, "=")
		if value != "" && slices.Contains(reaching, strings.ToUpper(key)) && !(key == "PIP_CONFIG_FILE" && value == os.DevNull) {
			return false
		}
	}
	if os.Getenv("PIP_CONFIG_FILE") == os.DevNull {
		return true // then pip reads no file at all
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return false
	}
	config := os.Getenv("XDG_CONFIG_HOME")
	if config == "" {
		config = filepath.Join(home, ".config")
	}
	global := os.Getenv("XDG_CONFIG_DIRS")
	if global == "" {
		global = "/etc/xdg"
	}
	files := []string{"/etc/pip.conf", filepath.Join(home, ".pip", "pip.conf"), filepath.Join(config, "pip", "pip.conf")}
	for _, dir := range filepath.SplitList(global) {
		files = append(files, filepath.Join(dir, "pip", "pip.conf"))
	}
	for _, name := range pythons {
		if program, err := exec.LookPath(name); err == nil {
			prefix := prefixOf(program)
			if prefix == "" {
				return false
			}
			files = append(files, filepath.Join(prefix, "pip.conf"))
		}
	}
	return !slices.ContainsFunc(files, func(name string) bool {
		_, err := os.Stat(name)
		return !os.IsNotExist(err)
	})
}

// reaching are the variables that say how pip reaches its index.
var reaching = []string{"PIP_CONFIG_FILE", "PIP_PROXY", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_KEYRING_PROVIDER", "PIP_NO_INDEX", "PIP_ISOLATED", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}

// prefixOf is the folder that is sys.prefix of a Python: of a virtual environment
// its own, else that above the folder of the program. It is "" for a script, such
// as the shim of a version manager: where its Python is only it knows.
func prefixOf(program string) string {
	program, err := filepath.Abs(program)
	if err != nil {
		return ""
	}
	above := filepath.Dir(filepath.Dir(program))
	if _, err := os.Stat(filepath.Join(above, "pyvenv.cfg")); err == nil {
		return above
	}
	real, err := filepath.EvalSymlinks(program)
	if err != nil {
		return ""
	}
	f, err := os.Open(real)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 4)
	if _, err := f.Read(head); err != nil || !bytes.Equal(head, []byte("\x7fELF")) {
		return ""
	}
	return filepath.Dir(filepath.Dir(real))
}
