package npm

import (
	"encoding/json"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/cooldown"
)

var (
	// plainName matches the names that npm has taken since 2014.
	plainName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*$`) })
	// plainIntegrity matches a digest that npm writes into a lock as the registry has it.
	plainIntegrity = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^sha512-[A-Za-z0-9+/]{86}==$`) })
)

// lone returns the closure of an exact version that needs no other package: the
// package itself, as npm would write it. It returns nil if the version has
// anything that npm must judge; it never refuses one. The rule may be nil.
//
// Many plugins are such packages, and a run of npm takes most of a second.
func (u *upstream) lone(name, version string, rule *cooldown.Rule) *PackageLock {
	u.mu.Lock()
	defer u.mu.Unlock()
	f, ok := u.facts[name+"@"+version]
	if !ok || f.refusal != nil || !plainName().MatchString(name) || name == "node_modules" || name == "favicon.ico" {
		return nil
	}
	for field, raw := range f.seen {
		switch field {
		case "name", "version", "dist", "deprecated":
		case "scripts":
			var scripts map[string]any
			if json.Unmarshal(raw, &scripts) != nil || installs(scripts) {
				return nil
			}
		default: // what needs others, what is bundled, what is built
			if !slices.Contains([]string{"{}", "[]", "false", "null"}, string(raw)) {
				return nil
			}
		}
	}
	p := LockedPackage{Name: name, Version: version}
	var dist struct{ Integrity string }
	if json.Unmarshal(f.seen["dist"], &dist) != nil || !plainIntegrity().MatchString(dist.Integrity) {
		return nil
	}
	p.Integrity = dist.Integrity
	if raw := f.seen["deprecated"]; raw != nil && json.Unmarshal(raw, &p.Deprecated) != nil {
		return nil
	}
	if rule != nil {
		released, err := time.Parse(time.RFC3339, f.released)
		p.Released = time.UnixMilli(released.UnixMilli()).UTC()
		if err != nil || p.Released.Unix() <= 0 || !rule.Before.IsZero() && p.Released.After(rule.Before) {
			return nil
		}
	}
	return &PackageLock{Packages: map[string]LockedPackage{"node_modules/" + name: p}}
}

// installs reports whether a package has a script that npm runs when it installs
// it.
func installs(scripts map[string]any) bool {
	for _, event := range []string{"preinstall", "install", "postinstall", "prepare"} {
		if scripts[event] != nil {
			return true
		}
	}
	return false
}
