package cargo

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/internal/tomlscan"
)

// Lock returns the crates that root may need on any platform, sorted and
// without root, and a Cargo.lock with them: that of root, compared with the
// index, or a new one. Development dependencies are left out. A crate from
// outside the registry is an error of class [fault.Policy].
func (x *Index) Lock(ctx context.Context, root *Source) ([]Crate, *Source, error) {
	if err := checkCrateManifest(root); err != nil {
		return nil, nil, err
	}
	source, err := x.c.Source(ctx)
	if err != nil {
		return nil, nil, err
	}
	if root.SHA256 != "" { // of a registry
		if err := x.stranger(source, root.Name, root.Version); err != nil {
			return nil, nil, err
		}
	}
	if err := x.write("root", root.Manifest, root.Files); err != nil {
		return nil, nil, err
	}
	x.guard.restrict() // from now on, requests depend on what others wrote
	file := x.path("root", "Cargo.lock")
	step := []string{"generate-lockfile"}
	if root.Lockfile != nil {
		// Before cargo reads it: for a git source, cargo would run git.
		if _, err := x.crates(source, root, root.Lockfile, false); err != nil {
			return nil, nil, err
		}
		if err := os.WriteFile(file, root.Lockfile, 0o600); err != nil {
			return nil, nil, err
		}
		step = []string{"update", "--workspace", "--locked"}
	}
	if err := x.run(ctx, root.String(), "root", step...); err != nil {
		if proc.Exited(err) {
			if stranger := x.strangers(source); stranger != nil {
				return nil, nil, stranger
			}
		}
		return nil, nil, x.explainLock(err, root)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	result := *root
	result.Lockfile = whole
	if slim, ok := withoutDevelopment(root.Manifest); ok {
		err := os.WriteFile(x.path("root", "Cargo.toml"), slim, 0o600)
		if err == nil {
			err = x.run(ctx, root.String(), "root", "update", "--workspace")
		}
		// If a feature names a development dependency, all of them stay.
		if err == nil {
			less, err := os.ReadFile(file)
			if err != nil {
				return nil, nil, err
			}
			if part, err := subset(less, whole); err != nil {
				return nil, nil, err
			} else if part {
				result.Manifest, result.Lockfile = slim, less
			}
		} else if !proc.Exited(err) {
			return nil, nil, err
		}
	}
	crates, err := x.crates(source, root, result.Lockfile, true)
	return crates, &result, err
}

func (x *Index) explainLock(err error, root *Source) error {
	var exit *proc.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	switch {
	case strings.Contains(exit.Raw, "changed between lock files"):
		return fault.Errorf(fault.Integrity, "do not use it: ask the publisher and the operator of the registry",
			"the Cargo.lock of crate %s has checksums that differ from the index: %w", root, err)
	case strings.Contains(exit.Raw, "but --locked was passed"):
		return fault.Errorf(fault.Upstream, "use another version", "the Cargo.lock of crate %s does not match its Cargo.toml: %w", root, err)
	}
	return err
}

// A lockedCrate is one [[package]] of a Cargo.lock.
type lockedCrate struct {
	Name     string `toml:"name"`
	Version  string `toml:"version"`
	Source   string `toml:"source"`
	Checksum string `toml:"checksum"`
}

func parseCargoLock(data []byte) ([]lockedCrate, error) {
	var file struct {
		Package []lockedCrate `toml:"package"`
	}
	if _, err := tomlscan.Decode(string(data), &file); err != nil {
		return nil, fault.Errorf(fault.Integrity, "report it to the publisher", "Cargo.lock: %s", redact.Line(err.Error()))
	}
	return file.Package, nil
}

// subset reports whether one Cargo.lock has all packages of the other.
func subset(part, whole []byte) (bool, error) {
	a, err := parseCargoLock(part)
	if err != nil {
		return false, err
	}
	b, err := parseCargoLock(whole)
	if err != nil {
		return false, err
	}
	for _, p := range a {
		if !slices.Contains(b, p) {
			return false, nil
		}
	}
	return true, nil
}

// crates lists the packages of a Cargo.lock except root: as the index has them
// if it has been asked, or else without digests.
func (x *Index) crates(source string, root *Source, lockfile []byte, asked bool) ([]Crate, error) {
	packages, err := parseCargoLock(lockfile)
	if err != nil {
		return nil, err
	}
	var list []Crate
	for _, p := range packages {
		c := Crate{Name: p.Name, Version: p.Version}
		switch {
		case p.Source == "" && p.Name == root.Name && p.Version == root.Version:
			continue
		case p.Source == "":
			return nil, notFromRegistry(asks(lockfile, p, root), fmt.Sprintf("%s from a folder", redact.Line(c.String())))
		case !strings.HasPrefix(p.Source, "registry+") && !strings.HasPrefix(p.Source, "sparse+"):
			kind, _, _ := strings.Cut(p.Source, "+")
			return nil, notFromRegistry(asks(lockfile, p, root), fmt.Sprintf("%s from %s", redact.Line(c.String()), redact.Line(kind)))
		case p.Source != source:
			return nil, notFromRegistry(asks(lockfile, p, root), fmt.Sprintf("%s from another registry", redact.Line(c.String())))
		}
		if !word(p.Name) || syntax.CheckVersion(p.Version) != nil || !whole("v"+p.Version) {
			return nil, fault.Errorf(fault.Integrity, "report it to the publisher", "the Cargo.lock of crate %s names %q %q", root, redact.Line(p.Name), redact.Line(p.Version))
		}
		if asked {
			versions, err := x.entries(p.Name)
			if err != nil {
				return nil, err
			}
			if c = versions[p.Version]; c.SHA256 == "" || p.Checksum != "" && p.Checksum != c.SHA256 {
				return nil, fault.Errorf(fault.Integrity, "ask the operator of the registry", "crate %s needs %s %s with checksum %q, but the index has %q",
					root, p.Name, p.Version, redact.Line(p.Checksum), c.SHA256)
			}
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Crate) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), lock.CompareVersions(a.Version, b.Version))
	})
	return list, nil
}

// asks returns the crate that needs a package according to a Cargo.lock; root
// if no crate does.
func asks(lockfile []byte, p lockedCrate, root *Source) string {
	var file struct {
		Package []struct {
			Name, Version string
			Dependencies  []string
		}
	}
	if _, err := tomlscan.Decode(string(lockfile), &file); err != nil {
		return root.String()
	}
	who := ""
	for _, one := range file.Package {
		for _, d := range one.Dependencies { // NAME, NAME VERSION or NAME VERSION (SOURCE)
			words := strings.Fields(d)
			if len(words) == 0 || words[0] != p.Name || len(words) > 1 && words[1] != p.Version || len(words) > 2 && words[2] != "("+p.Source+")" {
				continue
			}
			if one.Name == root.Name && one.Version == root.Version {
				return root.String()
			}
			who = cmp.Or(who, Crate{Name: one.Name, Version: one.Version}.String())
		}
	}
	return redact.Line(cmp.Or(who, root.String()))
}

// stranger refuses a version of a crate that depends on a crate in another
// registry. The index may also write the default registry by its name.
func (x *Index) stranger(source, name, version string) error {
	lines, err := x.lines(name)
	if err != nil {
		return err
	}
	for _, e := range lines {
		if e.Vers != version {
			continue
		}
		for _, d := range e.Deps {
			if d.Registry != nil && "registry+"+*d.Registry != source && *d.Registry != source {
				return notFromRegistry(Crate{Name: e.Name, Version: e.Vers}.String(), fmt.Sprintf("%s from the registry %s", redact.Line(d.Name), redact.Line(*d.Registry)))
			}
		}
	}
	return nil
}

// strangers calls stranger for every version that cargo has read.
func (x *Index) strangers(source string) error {
	home, err := x.home()
	if err != nil {
		return nil
	}
	var found error
	_ = filepath.WalkDir(filepath.Join(home, ".cache"), func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !word(d.Name()) {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(data, []byte(`"registry"`)) {
			return err
		}
		for part := range bytes.SplitSeq(data, []byte{0}) {
			var e indexEntry
			if !bytes.HasPrefix(part, []byte("{")) || json.Unmarshal(part, &e) != nil {
				continue
			}
			if found = x.stranger(source, e.Name, e.Vers); fault.Of(found) == fault.Policy {
				return fs.SkipAll
			}
		}
		return nil
	})
	if fault.Of(found) != fault.Policy {
		return nil
	}
	return found
}

func notFromRegistry(crate, what string) error {
	return fault.About(fault.AboutDirect, fault.Elsewheref(fault.Policy, "crate %s needs %s: only crates from the registry can be locked", crate, what))
}

// whole reports whether v is a version with all three numbers.
func whole(v string) bool { return semver.Canonical(v)+semver.Build(v) == v && v != "" }

// word reports whether s can be the name of a crate.
func word(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
