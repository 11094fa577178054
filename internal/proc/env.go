// Package proc runs foreign programs. [Find] finds one on this machine. [Command]
// runs one with limits: an environment that is never inherited, a limit of time
// and of output, and no network if the system can cut it off. When the program
// ends, everything that it started is ended too.
//
// Secrets are removed from the output of a program before it appears in a message.
// A program that is missing, too old or broken is an error of class
// [fault.Machine].
package proc

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// AtLeast reports whether a dotted version is major.minor or later; ok is
// false if it is not a version.
func AtLeast(version string, major, minor int) (yes, ok bool) {
	first, rest, _ := strings.Cut(version, ".")
	a, err := strconv.Atoi(first)
	if err != nil {
		return false, false
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	b, err := strconv.Atoi(rest[:end])
	if err != nil && rest != "" {
		return false, false
	}
	return a > major || a == major && b >= minor, true
}

// PrivateEnv returns an environment that inherits nothing: a home and temporary
// folder inside the given home, an empty PATH, and a proxy that does not exist, in case a
// package manager uses the network after all.
func PrivateEnv(home string) []string {
	env := []string{
		"HOME=" + home,
		"USERPROFILE=" + home,
		"APPDATA=" + home,
		"LOCALAPPDATA=" + home,
		"XDG_CACHE_HOME=" + home,
		"XDG_CONFIG_HOME=" + home,
		"TMPDIR=" + home,
		"TEMP=" + home,
		"TMP=" + home,
		"PATH=" + filepath.Join(home, "empty"),
		"LC_ALL=C",
		"HTTP_PROXY=http://127.0.0.1:9",
		"HTTPS_PROXY=http://127.0.0.1:9",
	}
	if runtime.GOOS == "windows" {
		// Without these, programs cannot open sockets or find their libraries.
		for _, name := range []string{"SystemRoot", "SystemDrive", "windir", "NUMBER_OF_PROCESSORS"} {
			if v, ok := os.LookupEnv(name); ok {
				env = append(env, name+"="+v)
			}
		}
	}
	return env
}

// ShimEnv returns the part of the user's environment that the shim of a version
// manager needs to find its program. It has nothing that node, npm, pnpm, Yarn or
// bun read themselves.
func ShimEnv(set ...string) []string {
	return append(slices.DeleteFunc(os.Environ(), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		key = strings.ToUpper(key)
		return !slices.Contains(shimVariables, key) && !slices.ContainsFunc(shimPrefixes, func(p string) bool { return strings.HasPrefix(key, p) })
	}), set...)
}

var (
	shimVariables = []string{
		"HOME", "USER", "LOGNAME", "PATH", "TMPDIR", "TEMP", "TMP", "N_PREFIX",
		"USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT",
		"XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME",
	}
	shimPrefixes = []string{"ASDF_", "FNM_", "MISE_", "NODENV_", "NVM_", "PROTO_", "RTX_", "VOLTA_"}
)

// UserEnv returns the user's environment without the variables for which drop
// returns true (it gets keys in lower case), and with those of set.
func UserEnv(drop func(key string) bool, set ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return drop != nil && drop(strings.ToLower(key))
	})
	return append(env, set...)
}

// ofTools has the variables, and ofToolsAll the prefixes of variables, that cargo,
// rustc, rustup, Go, git and C compilers read, in lower case.
var (
	ofTools    = strings.Fields("cc cxx cpp fc ar ld cpath cflags cppflags cxxflags fflags ldflags ssh_askpass")
	ofToolsAll = strings.Fields("cargo rust go gccgo cgo_ git_ cc_ cxx_ ar_ pkg_config")
)

// AskEnv returns the environment in which a program on PATH is asked for its
// version. The program may be the shim of a version manager, so this is the user's
// environment, without settings that cargo, rustc, Go or git would obey. It keeps
// RUSTUP_HOME and GOENV_ROOT, which tell the version managers where the programs
// are.
func AskEnv(set ...string) []string {
	return UserEnv(func(key string) bool {
		return key != "rustup_home" && key != "goenv_root" && (slices.Contains(ofTools, key) ||
			slices.ContainsFunc(ofToolsAll, func(o string) bool { return strings.HasPrefix(key, o) }))
	}, set...)
}

// ReachEnv is [PrivateEnv] with those of the user's variables that say how to
// reach servers.
func ReachEnv(home string) []string {
	env := slices.DeleteFunc(PrivateEnv(home), func(kv string) bool { return strings.Contains(kv, "_PROXY=") })
	return append(env, UserEnv(func(key string) bool { return !slices.Contains(reaching, key) })...)
}

var reaching = []string{"http_proxy", "https_proxy", "no_proxy", "all_proxy", "ssl_cert_file", "ssl_cert_dir"}

// Nowhere returns a working directory without project files: only the owner of
// the machine can put a file there, or above, that selects the version of a program.
func Nowhere() string { return filepath.VolumeName(os.TempDir()) + string(filepath.Separator) }

// Place makes the file from available under the name to: as a symbolic link, or as
// a copy if the system has no links.
func Place(from, to string) error {
	from, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	if _, err := os.Stat(from); err != nil {
		return err
	}
	if runtime.GOOS != "windows" && os.Symlink(from, to) == nil {
		return nil
	}
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

func IsFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}
