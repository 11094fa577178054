package managers

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/wheel"
)

// A LocalWheel is a locked and verified wheel, with its destination.
type LocalWheel struct {
	Root   string // "" for the tree itself, or "py3.12"
	Name   string // of the wheel in an index
	File   string // the wheel on this machine, under any name
	SHA256 [32]byte
	Files  []archive.File // content as strictly read: paths in the tree
}

// Spread reports whether installing the wheel would move files from its .data
// folder to other places (PEP 427). The tree has them unmoved, so such a wheel
// must be unpacked by our own code.
func (w LocalWheel) Spread() bool {
	return slices.ContainsFunc(w.Files, func(f archive.File) bool {
		top, _, _ := strings.Cut(strings.TrimPrefix(f.Path, w.Root+"/"), "/")
		return strings.HasSuffix(top, ".data")
	})
}

// A WheelManager is a pip or uv that can be run, with the Python that it needs.
type WheelManager struct {
	Name    string // "pip" or "uv"
	Version string

	python string
	run    []string // the program and its first arguments
}

// FindWheelManager returns the pip or uv on PATH. If there is none, or it only
// works in the user's environment, or is too old, the error is of class
// [fault.Machine].
func FindWheelManager(ctx context.Context, name string) (*WheelManager, error) {
	const or = "; or use none: BUCK2_PROTOBUF_WHEEL_MANAGER=none"
	tool, err := proc.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	if least, why := proc.Least(name); least != "" {
		if enough, _ := tool.AtLeast(least); !enough {
			return nil, fault.Errorf(fault.Machine, proc.Remedy(name, true)+or, "%s of %s has version %s; %s or later is needed, %s", name, tool.Path, tool.Version, least, why)
		}
	}
	m := &WheelManager{Name: name, Version: tool.Version}
	// The program on PATH may be the shim of a version manager. Which Python it
	// is does not affect the folder.
	first := tool.Path
	if name == "uv" {
		python, err := proc.Find(ctx, "python")
		if err != nil {
			return nil, err
		}
		first = python.Path
		if script, err := npm.NodeScript(tool.Path); err != nil || script != "" {
			return nil, fault.Errorf(fault.Machine, proc.Remedy(name, false)+or, "%s is a script that only works in the user's environment", tool.Path)
		}
	}
	out, err := proc.Command{
		Name: first + " -c", Path: first, Args: []string{"-I", "-c", "import sys; print(sys.executable)"}, Env: proc.UserEnv(nil), Class: fault.Machine,
	}.Run(ctx)
	if err != nil {
		return nil, err
	}
	if m.python = strings.TrimSpace(string(out)); !filepath.IsAbs(m.python) {
		return nil, fault.Errorf(fault.Machine, proc.Remedy("python", false)+or, "%s printed %q instead of the path of its Python", first, redact.Line(m.python))
	}
	m.run = append([]string{m.python}, tool.Args...)
	if name == "uv" {
		m.run = []string{tool.Path}
	}
	return m, nil
}

// Install unpacks exactly these wheels into dir: without network or the user's
// configuration, compiling nothing, and for any platform and interpreter. Dir
// must exist and be empty; after an error it is empty again.
//
// The folder has the same content as plain unpacking. The caller must compare
// it with the lock. Wheels with [LocalWheel.Spread] are refused. All errors of
// a manager are of class [fault.Machine].
//
// Which wheel suits which machine was decided at lock time, so the manager gets
// each wheel under a name that suits all machines.
func (m *WheelManager) Install(ctx context.Context, dir string, wheels []LocalWheel) (err error) {
	if dir, err = fresh(dir, m.Name); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(filepath.Join(dir, ".work"))
			return
		}
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}()
	byRoot := map[string][]LocalWheel{}
	for _, w := range wheels {
		byRoot[w.Root] = append(byRoot[w.Root], w)
	}
	for i, root := range slices.Sorted(maps.Keys(byRoot)) {
		work := filepath.Join(dir, ".work", fmt.Sprint(i))
		target := filepath.Join(work, "target")
		if err := m.installRoot(ctx, work, target, byRoot[root]); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(dir, root), 0o755); err != nil {
			return err
		}
		made, err := os.ReadDir(target)
		if err != nil {
			return err
		}
		for _, e := range made {
			if err := os.Rename(filepath.Join(target, e.Name()), filepath.Join(dir, root, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// installRoot installs the wheels of one folder of the tree into target.
func (m *WheelManager) installRoot(ctx context.Context, work, target string, wheels []LocalWheel) error {
	home, links := filepath.Join(work, "home"), filepath.Join(work, "wheels")
	for _, dir := range []string{filepath.Join(home, "empty"), links, target} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	t := normalizer{
		files: map[string]archive.File{},
		drop: func(name string) bool { // launchers with absolute paths, and the manager's own files
			top, rest, _ := strings.Cut(name, "/")
			return top == "bin" || top == "Scripts" || name == ".lock" || strings.HasSuffix(top, ".dist-info") && slices.Contains(notes, rest)
		},
		// It lists what the manager wrote.
		again:  func(name string) bool { return path.Base(name) == "RECORD" },
		repair: func(string, archive.File) bool { return false },
		format: archive.Options{Format: "zip"},
	}
	var wanted strings.Builder
	for _, w := range wheels {
		name, err := wheel.ParseName(w.Name)
		switch {
		case err != nil || strings.ContainsAny(w.Name, " \n"):
			return fault.Errorf(fault.Lock, "run: lockgen update", "%q is not the name of a wheel", w.Name)
		case w.Spread():
			return fmt.Errorf("%s has a .data folder, which %s would move", w.Name, m.Name)
		}
		if err := proc.Place(w.File, filepath.Join(links, name.Project+"-"+name.Version+"-py3-none-any.whl")); err != nil {
			return err
		}
		fmt.Fprintf(&wanted, "%s==%s --hash=sha256:%s\n", name.Project, name.Version, hex.EncodeToString(w.SHA256[:]))
		for _, f := range w.Files {
			t.files[strings.TrimPrefix(f.Path, w.Root+"/")] = f
		}
		t.archives = append(t.archives, w.File)
	}
	list := filepath.Join(work, "requirements.txt")
	if err := os.WriteFile(list, []byte(wanted.String()), 0o600); err != nil {
		return err
	}
	var args []string
	switch m.Name {
	case "pip":
		args = []string{"--isolated", "--disable-pip-version-check", "--no-input", "install", "--quiet", "--no-cache-dir", "--no-compile",
			"--ignore-requires-python", "--only-binary=:all:", "--no-warn-script-location", "--root-user-action=ignore", "--progress-bar=off"}
	case "uv":
		args = []string{"pip", "install", "--quiet", "--no-config", "--offline", "--no-cache", "--link-mode=copy", "--no-build",
			"--no-python-downloads", "--no-progress", "--python=" + m.python}
	}
	args = append(args, "--no-index", "--no-deps", "--require-hashes", "--find-links="+links, "--target="+target, "--requirement="+list)
	_, err := proc.Command{
		Name: m.Name + " install", Path: m.run[0], Args: slices.Concat(m.run[1:], args), Dir: work, Env: proc.PrivateEnv(home), Offline: true,
		Class: fault.Machine, Hint: "use another manager, or none: BUCK2_PROTOBUF_DISABLE_PACKAGE_MANAGERS=1",
	}.Run(ctx)
	if err != nil {
		return err
	}
	return t.run(ctx, target)
}

// notes are the files that pip and uv add to a .dist-info folder.
var notes = []string{"INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"}
