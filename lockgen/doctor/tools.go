package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/proc"
)

// A need says who uses a tool on this machine, and whether it is required.
type need struct {
	by   []string
	must bool
}

// needs lists the users of each tool. We unpack npm and pip plugins ourselves,
// so their managers are needed only for the address of the registry, unless one
// was chosen. Choosing an unknown manager is an error of class Usage.
func needs(l *lock.Lock, m *manifest.Manifest, host lock.Platform, config *buckconfig, env func(string) string) (map[string]need, error) {
	needs := map[string]need{}
	use := func(must bool, who string, tools ...string) {
		for _, t := range tools {
			needs[t] = need{append(needs[t].by, who), needs[t].must || must}
		}
	}
	add := func(who string, tools ...string) { use(true, who, tools...) }
	for name, versions := range l.Plugins {
		for version, v := range versions {
			cell, served, err := v.Cell(host.Name)
			if err != nil {
				continue
			}
			who, k := name+" "+version, v.Kind()
			if k.Client != "" && m.Registries[k.Name] == "" && (k.RunBy == "" || !runtimeOn(l, v, served)) {
				add(who+" (names the "+k.Registry+")", k.Client)
			}
			if len(v.Python) > 0 && v.Runtime == "" {
				add(who+" (runs on Python "+strings.Join(v.Python, ", ")+")", "python")
			}
			compilers, called := []string{"go"}, "Go"
			if k.Compiled {
				compilers, called = []string{"cargo", "rustc"}, "Rust"
			}
			if tool, version, ok := strings.Cut(v.Toolchain, "@"); ok && l.Plugins[tool][version] != nil {
				if _, _, err := l.Plugins[tool][version].Cell(host.Name); err != nil {
					add(who+" (needs exactly "+called+" "+version+", which is not locked for "+host.Name+")", compilers...)
				}
			}
			if k.Compiled && cell.Tree == "" && v.Toolchain == "" {
				add(who+" (compiles it)", "cargo", "rustc")
			}
		}
	}
	if config.found() { // without Buck2, neither is needed
		use(false, "//:fetch (Buck2 builds it from source)", "go")
		use(false, config.File, "buck2")
	}
	for _, chosen := range []struct {
		who, manager string
		of           []string
	}{
		{"BUCK2_PROTOBUF_NODE_MANAGER", env("BUCK2_PROTOBUF_NODE_MANAGER"), manifest.NodeManagers},
		{"node-manager of plugins.toml", m.NodeManager, manifest.NodeManagers},
		{"BUCK2_PROTOBUF_WHEEL_MANAGER", env("BUCK2_PROTOBUF_WHEEL_MANAGER"), install.WheelManagers},
		{"[buck2_protobuf] node_manager", config.get("buck2_protobuf", "node_manager"), manifest.NodeManagers},
		{"[buck2_protobuf] wheel_manager", config.get("buck2_protobuf", "wheel_manager"), install.WheelManagers},
	} {
		switch {
		case chosen.manager == "" || chosen.manager == "none":
		case slices.Contains(chosen.of, chosen.manager):
			add(chosen.who, chosen.manager)
		default:
			return nil, fault.Errorf(fault.Usage, "use one of "+strings.Join(chosen.of, ", "), "%s: unknown manager %q", chosen.who, chosen.manager)
		}
	}
	for _, n := range needs {
		slices.Sort(n.by)
	}
	return needs, nil
}

// runtimeOn reports whether the locked runtime of a plugin, which has a package manager
// with it, is there for a platform.
func runtimeOn(l *lock.Lock, v *lock.Version, platform string) bool {
	name, version, _ := strings.Cut(v.Runtime, "@")
	runtime := l.Plugins[name][version]
	if runtime == nil {
		return false
	}
	_, _, err := runtime.Cell(platform)
	return err == nil
}

// lookAtTools checks all tools, several at once because some start slowly.
func lookAtTools(ctx context.Context, needs map[string]need) ([]ToolFinding, error) {
	names := proc.Tools()
	found := make([]ToolFinding, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			least, why := proc.Least(name)
			found[i] = judge(ctx, name, least, why, needs[name])
		})
	}
	all.Wait()
	return found, ctx.Err()
}

// judge finds a tool and compares its version with the oldest one that works.
func judge(ctx context.Context, name, least, why string, by need) ToolFinding {
	f := ToolFinding{State: Good, Name: name, Least: least, NeededBy: append([]string{}, by.by...)}
	lacking := Note
	if by.must {
		lacking = Bad
	}
	tool, err := proc.Find(ctx, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.State, f.Why, f.Hint = lacking, err.Error(), fault.Hint(err)
		if len(by.by) == 0 && !by.must {
			f.State, f.Why, f.Hint = Absent, "", ""
		}
		return f
	case err != nil:
		f.State, f.Why, f.Hint = lacking, err.Error(), fault.Hint(err)
		return f
	}
	f.Version, f.Path = tool.Version, tool.Path
	if least == "" {
		return f
	}
	if why != "" {
		why = ", " + why
	}
	switch yes, ok := tool.AtLeast(least); {
	case !ok:
		f.State, f.Why = Note, fmt.Sprintf("cannot tell whether %[2]q is %[1]s or later", least, tool.Version)
	case !yes:
		f.State, f.Hint = lacking, proc.Remedy(name, true)
		f.Why = fmt.Sprintf("too old: %s or later is required%s", least, why)
	}
	return f
}

// lookAtPython looks for the Python interpreters that plugins in the lock run
// on.
func lookAtPython(ctx context.Context, tools []ToolFinding, l *lock.Lock, host lock.Platform, wanted string) {
	i := slices.IndexFunc(tools, func(t ToolFinding) bool { return t.Name == "python" })
	runs := 0
	for _, versions := range l.Plugins {
		for _, v := range versions {
			if _, _, err := v.Cell(host.Name); err != nil || len(v.Python) == 0 || v.Runtime != "" {
				continue
			}
			if _, err := pip.FindPython(ctx, wanted, v.Python); err != nil {
				tools[i].State, tools[i].Why, tools[i].Hint = Bad, err.Error(), fault.Hint(err)
				return
			}
			runs++
		}
	}
	if runs > 0 && tools[i].State == Bad { // installed, but not on PATH under its plain name
		tools[i].State, tools[i].Why, tools[i].Hint = Good, "", ""
	}
}
