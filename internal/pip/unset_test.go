package pip

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
)

// TestUnset: each place in which pip looks for settings is looked at, and what
// cannot be looked at counts as one that has some.
func TestUnset(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: pip is asked on this system")
	}
	for _, name := range []string{"/etc/pip.conf"} {
		if _, err := os.Stat(name); err == nil {
			t.Skipf("skipped: this machine has %s", name)
		}
	}
	cleanPipEnv(t)
	for _, name := range reaching {
		t.Setenv(name, "")
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("XDG_CONFIG_DIRS", filepath.Join(home, "a")+":"+filepath.Join(home, "b"))
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// A Python that lies in a folder of its own, and a virtual environment of it.
	python := filepath.Join(home, "python", "bin", "python3")
	fake.Write(t, python, "")
	data, err := os.ReadFile(me)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(python, data, 0o755); err != nil {
		t.Fatal(err)
	}
	venv := filepath.Join(home, "venv")
	fake.Write(t, filepath.Join(venv, "pyvenv.cfg"), "")
	if err := os.Mkdir(filepath.Join(venv, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(python, filepath.Join(venv, "bin", "python3")); err != nil {
		t.Fatal(err)
	}
	shim := filepath.Join(home, "shim")
	fake.Write(t, filepath.Join(shim, "python3"), "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(shim, "python3"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	if !Unset() {
		t.Error("without a Python there are settings")
	}
	t.Setenv("PATH", shim)
	if Unset() {
		t.Error("behind a script nobody knows")
	}
	for path, site := range map[string]string{filepath.Dir(python): filepath.Join(home, "python", "pip.conf"), filepath.Join(venv, "bin"): filepath.Join(venv, "pip.conf")} {
		t.Setenv("PATH", path)
		if !Unset() {
			t.Errorf("%s has settings", path)
		}
		for _, name := range []string{site, filepath.Join(home, ".pip", "pip.conf"), filepath.Join(home, ".config", "pip", "pip.conf"), filepath.Join(home, "b", "pip", "pip.conf")} {
			fake.Write(t, name, "[global]\nproxy = http://127.0.0.1:9\n")
			if Unset() {
				t.Errorf("%s was not looked at", name)
			}
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range reaching {
			t.Setenv(name, "x")
			if Unset() {
				t.Errorf("%s was not looked at", name)
			}
			t.Setenv(name, "")
		}
	}
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "c"))
	fake.Write(t, filepath.Join(home, "c", "pip", "pip.conf"), "")
	if Unset() {
		t.Error("XDG_CONFIG_HOME was not looked at")
	}
	t.Setenv("PIP_CONFIG_FILE", os.DevNull)
	t.Setenv("PATH", shim)
	if !Unset() {
		t.Error("pip reads no file then")
	}
}
