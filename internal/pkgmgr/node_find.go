package pkgmgr

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// nodeNeeds says how old a manager may be: the oldest that knows every option
// that prepare gives, and was tried.
var nodeNeeds = map[string]struct {
	major, minor int
	text         string
}{
	"npm":  {npmMajor, npmMinor, "11.10 or later"},
	"pnpm": {9, 0, "9.0 or later"},
	"yarn": {1, 22, "1.22, or 4.0 or later"},
	"bun":  {1, 3, "1.3 or later"},
}

// FindNode returns the manager of this name on PATH. Node runs it, where it is
// a script: "" for the one on PATH. None there, one that only downloads
// another, and one that is too old are errors of class Machine that say what
// was found and what is needed; a missing one is an [fs.ErrNotExist].
func FindNode(ctx context.Context, name, node string) (*NodeManager, error) {
	need, known := nodeNeeds[name]
	if !known {
		return nil, fault.Errorf(fault.Usage, "known are "+strings.Join(NodeManagers, ", ")+", and none", "node manager %q is not known", name)
	}
	mend := "install " + name + " " + need.text + ", or choose another: BUCK2_PROTOBUF_NODE_MANAGER=none needs none"
	if name == "npm" {
		n, err := FindNPM(ctx)
		if err != nil {
			return nil, err
		}
		return n.NodeManager()
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return nil, fault.Errorf(fault.Machine, mend, "%s is not on PATH: %w", name, fs.ErrNotExist)
	}
	m := &NodeManager{Name: name}
	script, err := nodeScript(found)
	if err != nil {
		return nil, fault.Errorf(fault.Machine, mend, "%s: %w", found, err)
	}
	if script == "" {
		m.run = []string{found}
	} else {
		if m.node = node; node == "" {
			if m.node, err = exec.LookPath("node"); err != nil {
				return nil, fault.Errorf(fault.Machine, mend, "%s needs a node, and none is on PATH: %w", found, fs.ErrNotExist)
			}
		}
		m.run = []string{m.node, script}
	}
	return m, m.ask(ctx, mend)
}

// ask finds out the version of a manager and whether it is new enough.
func (m *NodeManager) ask(ctx context.Context, mend string) error {
	need := nodeNeeds[m.Name]
	program := m.run[len(m.run)-1]
	if m.Version = scriptVersion(program, m.Name); m.Version == "" {
		dir, err := os.MkdirTemp("", "buck2-protobuf-"+m.Name+"-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		out, err := command{
			name: program + " --version", path: m.run[0], args: append(m.run[1:len(m.run):len(m.run)], "--version"), dir: dir,
			env: userEnv(nil), timeout: time.Minute, class: fault.Machine, mend: mend,
		}.run(ctx)
		if err != nil {
			return err
		}
		m.Version = strings.TrimSpace(string(out))
	}
	enough, ok := atLeast(m.Version, need.major, need.minor)
	if m.Name == "yarn" && enough {
		later, _ := atLeast(m.Version, 2, 0)
		four, _ := atLeast(m.Version, 4, 0)
		enough = !later || four
	}
	switch {
	case !ok:
		return fault.Errorf(fault.Machine, mend, "%s says its version is %q", program, clean(m.Version))
	case !enough:
		return fault.Errorf(fault.Machine, mend, "%s has version %s, needed is %s", program, clean(m.Version), need.text)
	}
	return nil
}

// scriptVersion returns the version of the package of this name that a script
// lies in, "" where there is none: a run of node would take ten times as long.
func scriptVersion(script, name string) string {
	for dir := filepath.Dir(script); ; dir = filepath.Dir(dir) {
		data, err := os.ReadFile(filepath.Join(dir, "package.json"))
		var pkg struct{ Name, Version string }
		if err == nil && json.Unmarshal(data, &pkg) == nil && pkg.Version != "" {
			if pkg.Name == name || pkg.Name == "@yarnpkg/cli-dist" {
				return pkg.Version
			}
			return ""
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// shimmed finds the script that a shim starts: the .cmd files and shell
// scripts that npm and pnpm write in the form of the package cmd-shim.
var shimmed = regexp.MustCompile(`(?:%~?dp0%?|\$basedir)[\\/]+([^"$%]+\.[cm]?js)"`)

// nodeScript returns the script that a program on PATH is, "" for a program
// that needs no node. A shim would find its node on the PATH of the user, which
// it will not have: so what it starts is started without it.
func nodeScript(program string) (string, error) {
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
	shim := shimmed.FindSubmatch(head)
	line, _, _ := bytes.Cut(head, []byte("\n"))
	switch ext := strings.ToLower(filepath.Ext(real)); {
	case strings.Contains(filepath.ToSlash(real), "/corepack/") || bytes.Contains(head, []byte("corepack")):
		return "", fault.Errorf(fault.Machine, "", "it is a shim of corepack, which downloads the manager when it runs")
	case shim != nil && (ext == ".cmd" || bytes.HasPrefix(head, []byte("#!"))):
		return filepath.Join(filepath.Dir(real), filepath.FromSlash(strings.ReplaceAll(string(shim[1]), `\`, "/"))), nil
	case bytes.HasPrefix(head, []byte("#!")) && bytes.Contains(line, []byte("node")), ext == ".js", ext == ".cjs", ext == ".mjs":
		return real, nil
	case bytes.HasPrefix(head, []byte("#!")), ext == ".cmd", ext == ".bat", ext == ".ps1":
		return "", fault.Errorf(fault.Machine, "", "it is a script that works only in the environment of its user")
	}
	return "", nil
}
