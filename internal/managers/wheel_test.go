package managers

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// eachWheelManager runs a test with pip, and in the full suite with uv, found as FindWheelManager finds
// them. The index is asked for uv once.
func eachWheelManager(t *testing.T, test func(t *testing.T, m *WheelManager)) {
	for _, name := range []string{"pip", "uv"} {
		t.Run(name, func(t *testing.T) {
			testenv.Real(t, "it starts "+name)
			if name == "uv" {
				testenv.OnlyFull(t, "pip does the same")
				const spec = "uv==0.13.9"
				dir := testCache(t, "managers")
				dir = filepath.Join(dir, spec)
				if _, err := os.Stat(filepath.Join(dir, "bin")); err != nil {
					if _, err := pip.Find(t.Context()); err != nil {
						t.Skipf("no pip to install uv with: %v", err)
					}
					err := exec.CommandContext(t.Context(), "python3", "-m", "pip", "install", "--quiet", "--no-deps", "--target", dir, spec).Run()
					if err != nil {
						t.Skipf("uv cannot be had from the index: %v", err)
					}
				}
				t.Setenv("PATH", filepath.Join(dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
			}
			m, err := FindWheelManager(t.Context(), name)
			if fault.Of(err) == fault.Machine {
				t.Skipf("no %s to try with: %v", name, err)
			}
			if err != nil {
				t.Fatal(err)
			}
			test(t, m)
		})
	}
}

// wheel writes a wheel and describes it.
func localWheel(t *testing.T, root, name string, body []byte) LocalWheel {
	t.Helper()
	file := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(file, body, 0o400); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files, err := archive.Unpack(t.Context(), f, "", archive.Options{Format: "zip", Prefix: root})
	if err != nil {
		t.Fatal(err)
	}
	return LocalWheel{Root: root, Name: name, File: file, SHA256: sha256.Sum256(body), Files: files}
}

// oddWheels are wheels with all that a manager would act upon: for machines and
// interpreters other than this one, with scripts, dependencies and signatures.
func oddWheels(t *testing.T) []LocalWheel {
	var all []LocalWheel
	for _, w := range []struct {
		root string
		fake.Wheel
	}{
		{"", fake.Wheel{Name: "plugin", Version: "1.0.0", EntryPoints: "[console_scripts]\nprotoc-gen-x = plugin:main\npip = plugin:main\n",
			Files: map[string]string{"plugin/__init__.py": "def main(): pass\n", "plugin/bin/tool": "#!python\r\n", "bin/mine": "mine", "top.pth": "import sys\n"},
			Exec:  []string{"plugin/bin/tool"}, Requires: []string{"nowhere>=1", "plugin-other"}, Python: ">=3.99"}},
		{"", fake.Wheel{Name: "plugin.other", Version: "2.0.0+local.1", Tag: "cp310-cp310-win_amd64", Files: map[string]string{"other/x.pyd": "x", "space/a/__init__.py": ""}}},
		{"", fake.Wheel{Name: "third", Version: "3", Tag: "cp27-none-macosx_11_0_arm64", Files: map[string]string{"space/b/__init__.py": ""}, Exec: []string{"space/b/__init__.py"}}},
		{"py3.10", fake.Wheel{Name: "native", Version: "1.0", Tag: "cp310-cp310-manylinux_2_28_aarch64", Files: map[string]string{"native.so": "for 3.10"}}},
		{"py3.13", fake.Wheel{Name: "native", Version: "1.0", Tag: "cp313-cp313-manylinux_2_28_aarch64", Files: map[string]string{"native.so": "for 3.13"}}},
	} {
		all = append(all, localWheel(t, w.root, w.Filename(), w.Bytes()))
	}
	return all
}

// installsWheels compares what a manager makes with the plain unpacking.
func installsWheels(t *testing.T, m *WheelManager, wheels []LocalWheel) {
	t.Helper()
	dir := t.TempDir()
	if err := m.Install(t.Context(), dir, wheels); err != nil {
		t.Fatal(err)
	}
	got, err := archive.HashDir(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	var want []archive.File
	for _, w := range wheels {
		want = append(want, w.Files...)
	}
	slices.SortFunc(want, func(a, b archive.File) int { return strings.Compare(a.Path, b.Path) })
	if len(want) == 0 {
		t.Fatal("the wheels are empty")
	}
	if diff := archive.Diff(want, got); diff != "" {
		t.Errorf("%s made another folder: %s", m.Name, diff)
	}
}

// TestWheelManagersAreOne: pip and uv make the folder that a plain unpacking
// makes, whatever the user's configuration says.
func TestWheelManagersAreOne(t *testing.T) {
	eachWheelManager(t, func(t *testing.T, m *WheelManager) {
		wheels := oddWheels(t)
		installsWheels(t, m, wheels)

		home := t.TempDir()
		canary := filepath.Join(home, "canary")
		hook := fmt.Sprintf("open(%q, 'w').write('ran')\n", canary)
		conf := "[global]\nindex-url = http://127.0.0.1:9/\nuser = true\nprefix = " + home + "\nno-binary = :all:\ncompile = true\nrequire-virtualenv = true\n"
		for name, text := range map[string]string{
			"sitecustomize.py": hook, "usercustomize.py": hook, "pip.py": hook, "pip.conf": conf, "pip/pip.conf": conf, ".pip/pip.conf": conf,
			"uv/uv.toml": "index-url = \"http://127.0.0.1:9/\"\nno-binary = true\ncompile-bytecode = true\nlink-mode = \"symlink\"\n",
		} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(home, name)), 0o700); err != nil {
				t.Fatal(err)
			}
			fake.Write(t, filepath.Join(home, name), text)
		}
		for key, value := range map[string]string{
			"HOME": home, "XDG_CONFIG_HOME": home, "PYTHONPATH": home, "PYTHONSTARTUP": filepath.Join(home, "pip.py"), "PIP_CONFIG_FILE": filepath.Join(home, "pip.conf"),
			"PIP_TARGET": home, "PIP_COMPILE": "1", "PIP_REQUIRE_VIRTUALENV": "1", "PIP_NO_BINARY": ":all:", "UV_LINK_MODE": "symlink", "UV_COMPILE_BYTECODE": "1",
			"UV_CONFIG_FILE": filepath.Join(home, "uv", "uv.toml"), "UV_TARGET": home, "UV_NO_BINARY": "1", "VIRTUAL_ENV": home,
		} {
			t.Setenv(key, value)
		}
		installsWheels(t, m, wheels)
		if _, err := os.Stat(canary); err == nil {
			t.Error("something of the user's ran")
		}
	})
}

func TestWheelManagersRefuse(t *testing.T) {
	good := fake.Wheel{Name: "good", Version: "1.0", Files: map[string]string{"good.py": ""}}
	other := fake.Wheel{Name: "good", Version: "1.0", Files: map[string]string{"good.py": "other"}}
	spread := fake.Wheel{Name: "spread", Version: "1.0", Files: map[string]string{"spread-1.0.data/scripts/tool": "#!python\n"}}
	eachWheelManager(t, func(t *testing.T, m *WheelManager) {
		wrong := localWheel(t, "", good.Filename(), good.Bytes())
		wrong.File = localWheel(t, "", other.Filename(), other.Bytes()).File
		noWheel := localWheel(t, "", good.Filename(), good.Bytes())
		noWheel.Name = "good.zip"
		for name, test := range map[string]struct {
			wheel LocalWheel
			class fault.Class
			says  string
		}{
			"wrong bytes": {wrong, fault.Machine, m.Name + " install: exit status"},
			"no wheel":    {noWheel, fault.Lock, "good.zip"},
			"spread":      {localWheel(t, "", spread.Filename(), spread.Bytes()), fault.Internal, ".data"},
		} {
			dir := t.TempDir()
			err := m.Install(t.Context(), dir, []LocalWheel{test.wheel})
			if err == nil || fault.Of(err) != test.class || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: class %s: %v", name, fault.Of(err), err)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
				t.Errorf("%s: left behind: %v, %v", name, entries, err)
			}
		}
	})
}

func TestFindWheelManager(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the fake programs are shell scripts")
	}
	t.Setenv("PATH", fake.Programs(t, map[string]string{"python3": "print pip 22.3.1 from /somewhere (python 3.11)"}))
	_, err := FindWheelManager(t.Context(), "pip")
	fake.WantFault(t, err, fault.Machine, "version 22.3.1; 23.0 or later is needed")
	_, err = FindWheelManager(t.Context(), "uv")
	fake.WantFault(t, err, fault.Machine, "uv is not on PATH")
}
