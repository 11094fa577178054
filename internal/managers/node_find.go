package managers

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/proc"
)

// FindNode returns the manager of this name on PATH. Where it is a script, node
// is asked for the path of the node that shall run it, "" for the one on PATH. None there, one that only downloads
// another, and one that is too old are errors of class Machine that say what
// was found and what is needed; a missing one is an [fs.ErrNotExist].
func FindNode(ctx context.Context, name string, node func() (string, error)) (_ *NodeManager, err error) {
	defer proc.AboutManagers(&err)
	if name == "npm" { // which says itself where its script is
		n, err := npm.Find(ctx)
		if err != nil {
			return nil, err
		}
		return OfNPM(n)
	}
	if !slices.Contains(manifest.NodeManagers, name) || name == "none" {
		return nil, fmt.Errorf("%q is no node manager", name)
	}
	const or = "; or use another, or none: BUCK2_PROTOBUF_NODE_MANAGER=none"
	tool, ok := packaged(name)
	if !ok {
		if tool, err = proc.Find(ctx, name); err != nil {
			return nil, err
		}
	}
	m := &NodeManager{Name: name, Version: tool.Version}
	least, why := proc.Least(name)
	between, _ := proc.CompareToolVersions("4.0", tool.Version)
	classic, _ := proc.CompareToolVersions(tool.Version, "2.0")
	switch enough, _ := tool.AtLeast(least); {
	case !enough:
		return nil, fault.Errorf(fault.Machine, proc.Remedy(name, true)+or, "%s has version %s, needed is %s or later, %s", tool.Path, tool.Version, least, why)
	case name == "yarn" && between > 0 && classic >= 0:
		return nil, fault.Errorf(fault.Machine, proc.Remedy(name, true)+or, "%s has version %s, needed is 1.22, or 4.0 or later", tool.Path, tool.Version)
	}
	script, err := npm.NodeScript(tool.Path)
	if err != nil {
		return nil, fault.Errorf(fault.Machine, proc.Remedy(name, false)+or, "%s: %w", tool.Path, err)
	}
	if script == "" {
		m.run = []string{tool.Path}
		return m, nil
	}
	interpreter, err := node()
	if err != nil {
		return nil, err
	}
	if interpreter == "" {
		if interpreter, err = exec.LookPath("node"); err != nil {
			return nil, fault.Errorf(fault.Machine, proc.Remedy("node", false), "%s needs a node, and none is on PATH: %w", tool.Path, fs.ErrNotExist)
		}
	}
	m.run = []string{interpreter, script}
	return m, nil
}

// packaged returns the manager of this name that is first on PATH, where it is a
// script of its own npm package: then its version is written beside it, and asking
// the script would take node a tenth of a second or more, up to a third of its
// whole work.
func packaged(name string) (tool proc.Tool, ok bool) {
	found, err := exec.LookPath(name)
	if err == nil {
		found, err = filepath.Abs(found)
	}
	if err != nil {
		return tool, false
	}
	script, err := npm.NodeScript(found)
	if err != nil || script == "" {
		return tool, false
	}
	data, err := os.ReadFile(filepath.Join(filepath.Dir(script), "..", "package.json"))
	if err != nil {
		return tool, false
	}
	var pkg struct{ Name, Version string }
	if json.Unmarshal(data, &pkg) != nil || pkg.Name != name && (name != "yarn" || pkg.Name != "@yarnpkg/cli-dist") {
		return tool, false
	}
	return proc.Tool{Name: name, Path: found, Version: pkg.Version}, pkg.Version != "" && proc.SaidVersion(pkg.Version) == pkg.Version
}
