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

// Unset reports whether certainly no pip on this machine is configured in how
// to reach an index: no variable is set, and none of the files that pip reads
// exists (https://pip.pypa.io/en/stable/topics/configuration/). It starts no
// program, and returns false if it cannot be certain.
func Unset() bool {
	if runtime.GOOS != "linux" { // other systems use other paths
		return false
	}
	for _, kv := range os.Environ() {
		key, value, _ := strings.Cut(kv, "=")
		if value != "" && slices.Contains(reaching, strings.ToUpper(key)) && !(key == "PIP_CONFIG_FILE" && value == os.DevNull) {
			return false
		}
	}
	if os.Getenv("PIP_CONFIG_FILE") == os.DevNull {
		return true // pip reads no file
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

// reaching has the variables that change how pip reaches its index.
var reaching = []string{"PIP_CONFIG_FILE", "PIP_PROXY", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_KEYRING_PROVIDER", "PIP_NO_INDEX", "PIP_ISOLATED", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}

// prefixOf returns sys.prefix of a Python: the folder of its virtual
// environment, or else the one above the program's folder. For a script, such
// as the shim of a version manager, it is "", because only the script knows
// which Python it starts.
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

// counting has the variables of pip that count: those, and the one that names the
// index.
var counting = append([]string{"PIP_INDEX_URL"}, reaching...)
