package main

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// values returns the words that completion offers. It ignores files that it cannot
// read: the command itself reports them.
func values(a *app, verb, flag, name string) []string {
	switch {
	case flag == "bundle" || verb == "bundle" && flag == "":
		lockPath, err := a.findLock()
		if err != nil {
			return nil
		}
		plugins := a.opts.manifest
		if plugins == "" {
			plugins = filepath.Join(filepath.Dir(lockPath), manifest.FileName)
		}
		m, _, err := manifest.Read(plugins)
		if err != nil {
			return nil
		}
		return slices.Sorted(maps.Keys(m.Bundles))
	case flag == "platform":
		return lock.PlatformNames()
	case flag == "shell":
		return shells
	case flag == "node-manager":
		return manifest.NodeManagers
	case flag == "wheel-manager":
		return install.WheelManagers
	case flag == "" && name == "NAME":
		lockPath, err := a.findLock()
		if err != nil {
			return nil
		}
		l, _, err := lock.Read(lockPath)
		if err != nil {
			return nil
		}
		specs := slices.DeleteFunc(l.Specs(), func(s string) bool {
			_, _, runtime := lock.RuntimeName(s)
			return runtime || verb != "env" && strings.HasPrefix(s, lock.ProtosPrefix) == (verb != "protos")
		})
		if verb == "protos" {
			specs = slices.DeleteFunc(specs, func(s string) bool { return strings.Contains(s, "@") })
			for i := range specs {
				specs[i] = strings.TrimPrefix(specs[i], lock.ProtosPrefix)
			}
		}
		return specs
	}
	return nil
}
