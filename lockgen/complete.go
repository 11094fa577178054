package main

import (
	"maps"
	"slices"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/lockgen/closure"
)

// values returns the completions of an argument. For files that cannot be read,
// it returns none; the command itself reports the error.
func values(p *program, verb, flag, name string) []string {
	switch {
	case flag == "platform":
		return lock.PlatformNames()
	case flag == "manager":
		return proc.Tools()
	case verb == "add" && flag == "":
		return catalog.Builtin().Names()
	}
	if name == "PACKAGE" {
		if p.locateLock() != nil {
			return nil
		}
		l, _, err := lock.Read(p.lock)
		if err != nil {
			return nil
		}
		return closure.Names(l)
	}
	if flag != "bundle" && name != "NAME" || p.locate() != nil {
		return nil
	}
	m, _, err := manifest.Read(p.manifest)
	if err != nil {
		return nil
	}
	if flag == "bundle" {
		return slices.Sorted(maps.Keys(m.Bundles))
	}
	specs := slices.Collect(maps.Keys(m.Plugins))
	if l, _, err := lock.Read(p.lock); err == nil {
		specs = append(specs, l.Specs()...)
	}
	slices.Sort(specs)
	return slices.Compact(specs)
}
