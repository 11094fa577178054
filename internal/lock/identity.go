package lock

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// Coordinate returns the name of a locked file for mirrors: its URL,
// oci://HOST/REPO, npm:NAME@VERSION, pip:PROJECT@VERSION (the project
// normalised as in PEP 503), cargo:NAME@VERSION or go:MODULE@vVERSION.
func (v *Version) Coordinate(key string) string {
	k := v.Kind()
	switch {
	case k.Ecosystem:
		return k.coordinate(k.PackageOf(key, v.Files[key]))
	case v.Files[key].URL != "":
		return v.Files[key].URL
	}
	return "oci://" + v.Package
}

// Identity returns [Kind.Identity] for a file.
func (v *Version) Identity(key string) string {
	return v.Kind().Identity(v.Package, key, v.Files[key])
}

// PackageOf returns [Kind.PackageOf] for a file.
func (v *Version) PackageOf(key string) (name, version string) {
	return v.Kind().PackageOf(key, v.Files[key])
}

// Consistent returns an error of class [fault.Lock] if two plugins have
// different bytes for a file that they share. LockName is the path of the lock.
// For Go, the hash of the files counts, since a proxy may compress a module
// differently.
func (l *Lock) Consistent(lockName string) error {
	type seen struct {
		plugin string
		file   File
	}
	known := map[string]seen{}
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		for _, version := range slices.Sorted(maps.Keys(l.Plugins[name])) {
			v, plugin := l.Plugins[name][version], name+" "+version
			for _, key := range slices.Sorted(maps.Keys(v.Files)) {
				f, id := v.Files[key], v.Identity(key)
				other, ok := known[id]
				if !ok {
					known[id] = seen{plugin, f}
					continue
				}
				same := f.SHA256 == other.file.SHA256 && f.Size == other.file.Size
				if k := v.Kind(); k.same != nil {
					same = k.same(f, other.file)
				}
				if !same {
					return fault.Errorf(fault.Lock, restore(lockName),
						"%s and %s have different digests for the same file %s: sha256 %s and %s", other.plugin, plugin, f.Label(key), other.file.SHA256, f.SHA256)
				}
			}
		}
	}
	return nil
}

// CheckRelease refuses a version whose files clearly belong to another version:
// their package has another version, or their URLs have a number of the same
// form but not this version. A URL need not contain the version; then nothing
// is known.
func (v *Version) CheckRelease(version string) error {
	if v.Upstream != "" {
		if err := syntax.CheckVersion(v.Upstream); err != nil {
			return fmt.Errorf("upstream: %w", err)
		}
		if !strings.HasPrefix(v.Upstream, version+".") && !strings.HasSuffix(v.Upstream, "."+version) {
			return fmt.Errorf("upstream %s is not version %s with numbers added", v.Upstream, version)
		}
		version = v.Upstream
	}
	k := v.Kind()
	var others []string
	for _, key := range slices.Sorted(maps.Keys(v.Files)) {
		f := v.Files[key]
		if k.address != nil {
			address := k.address(v, f)
			if strings.Contains(address, version) {
				return nil
			}
			others = append(others, numbersLike(version, address)...)
			continue
		}
		name, other := k.PackageOf(key, f)
		if other == "" || k.Normal(name) != k.Normal(v.Package) {
			continue
		}
		if k.release != nil {
			other = k.release(other)
		}
		if other == version || k.sameRelease != nil && k.sameRelease(other, version) {
			return nil
		}
		others = append(others, other)
	}
	if len(others) == 0 {
		return nil
	}
	slices.Sort(others)
	return fmt.Errorf("its files are those of %s", fault.List(slices.Compact(others)))
}

// numbersLike lists the dotted numbers in a text with as many parts as the
// version, at least two.
func numbersLike(version, text string) (list []string) {
	digit := func(r rune) bool { return r != '.' && (r < '0' || r > '9') }
	parts := strings.Count(version, ".") + 1
	if parts < 2 || strings.ContainsFunc(version, digit) {
		return nil
	}
	for _, number := range strings.FieldsFunc(text, digit) {
		number = strings.Trim(number, ".")
		if strings.Count(number, ".") == parts-1 && !strings.Contains(number, "..") {
			list = append(list, number)
		}
	}
	return list
}
