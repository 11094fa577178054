package managers

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/proc"
)

// FindNode returns the manager with this name on PATH. If it is a script, it
// calls node for the path of the node to run it with, "" for the one on PATH.
// If there is none, or it only downloads another one, or is too old, the error
// is of class [fault.Machine] and says what was found and what is needed; if
// there is none, it also matches [fs.ErrNotExist].
func FindNode(ctx context.Context, name string, node func() (string, error)) (_ *NodeManager, err error) {
	defer proc.AboutManagers(&err)
	if name == "npm" { // npm finds its own script
		n, err := npm.Find(ctx)
		if err != nil {
			return nil, err
		}
		return OfNPM(n)
	}
	if !slices.Contains(manifest.NodeManagers, name) || name == "none" {
		return nil, fmt.Errorf("%q is not a node manager", name)
	}
	const or = "; or use another manager, or none: BUCK2_PROTOBUF_NODE_MANAGER=none"
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
		return nil, fault.Errorf(fault.Machine, proc.Remedy(name, true)+or, "%s has version %s; %s or later is needed, %s", tool.Path, tool.Version, least, why)
	case name == "yarn" && between > 0 && classic >= 0:
		return nil, fault.Errorf(fault.Machine, proc.Remedy(name, true)+or, "%s has version %s; 1.22, or 4.0 or later, is needed", tool.Path, tool.Version)
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
			return nil, fault.Missingf(fault.Machine, proc.Remedy("node", false), "%s needs node, but none is on PATH", tool.Path)
		}
	}
	m.run = []string{interpreter, script}
	return m, nil
}

// packaged returns the first manager with this name on PATH, if it is a script
// in its own npm package. Then its version is in a file beside it. Asking the
// script would take a tenth of a second or more, up to a third of the time of
// an installation.
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
