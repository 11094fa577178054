package lock

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"golang.org/x/net/idna"
)

// Coordinate names a locked file for mirrors: its URL, oci://HOST/REPO,
// npm:NAME@VERSION, pip:PROJECT@VERSION (the project normalised as PEP 503
// says), cargo:NAME@VERSION or go:MODULE@vVERSION.
func (v *Version) Coordinate(key string) string {
	f := v.Files[key]
	switch v.Source {
	case HTTP:
		return f.URL
	case OCI:
		return "oci://" + v.Package
	case Pip: // NAME-VERSION-…, the binary distribution format of PyPA
		name, rest, _ := strings.Cut(path.Base(key), "-")
		version, _, _ := strings.Cut(rest, "-")
		return Pip + ":" + NormalProject(name) + "@" + version
	case Go:
		return Go + ":" + f.Name + "@v" + f.Version
	}
	return v.Source + ":" + f.Name + "@" + f.Version
}

// Identity names what may never change its bytes: what a source is asked for when
// a file of a package is downloaded. Two files of one identity are one download.
func Identity(source, pkg, key string, f File) string {
	switch source {
	case NPM, Cargo:
		return source + " " + f.Name + "@" + f.Version
	case Pip, Go:
		return source + " " + key
	case OCI:
		return source + " " + pkg + ":" + f.Version + " " + key
	}
	return source + " " + f.URL
}

// Consistent reports, as an error of class [fault.Lock], a file that two plugins
// of a lock share and have other bytes for. Of Go the hash of the files decides,
// for a proxy may pack a module anew.
func (l *Lock) Consistent() error {
	type seen struct {
		plugin string
		file   File
	}
	known := map[string]seen{}
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		for _, version := range slices.Sorted(maps.Keys(l.Plugins[name])) {
			v, plugin := l.Plugins[name][version], name+" "+version
			for _, key := range slices.Sorted(maps.Keys(v.Files)) {
				f, id := v.Files[key], Identity(v.Source, v.Package, key, v.Files[key])
				other, ok := known[id]
				if !ok {
					known[id] = seen{plugin, f}
					continue
				}
				same := f.SHA256 == other.file.SHA256 && f.Size == other.file.Size
				if v.Source == Go {
					same = f.Integrity == other.file.Integrity && f.GoMod == other.file.GoMod
				}
				if !same {
					return fault.Errorf(fault.Lock, "restore the lock, such as by: git checkout -- "+FileName,
						"%s and %s have other bytes for the same file %s: sha256 %s and %s", other.plugin, plugin, f.Label(key), other.file.SHA256, f.SHA256)
				}
			}
		}
	}
	return nil
}

var projectRuns = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[-_.]+`) })

// NormalProject is the name of a Python project as indexes spell it (PEP 503).
func NormalProject(name string) string {
	return strings.ToLower(projectRuns().ReplaceAllString(name, "-"))
}

// PackageOf is what a file of the lock is a part of: name and version in the
// source, the version "" where the file does not tell.
func PackageOf(kind, key string, f File) (name, version string) {
	if kind == Pip {
		parts := strings.Split(key, "-") // PEP 427
		if len(parts) > 1 {
			version = parts[1]
		}
		return NormalPackage(Pip, parts[0]), version
	}
	return f.Name, f.Version
}

// NormalPackage is the form of a package's name in which two names of one
// package are equal: PEP 503 for pip, - for _ in lower case for cargo, a host in
// lower case for oci, the name itself for npm and go.
func NormalPackage(kind, name string) string {
	switch kind {
	case Pip:
		words := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("-_.", r) })
		return strings.ToLower(strings.Join(words, "-"))
	case Cargo:
		return strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	case OCI:
		host, rest, _ := strings.Cut(name, "/")
		if h, err := NormalHost(host); err == nil {
			host = h
		}
		return host + "/" + rest
	}
	return name
}

// NormalHost is a host in lower case, in ASCII, without the dot at the end; an
// IPv6 address in brackets.
func NormalHost(host string) (string, error) {
	if strings.Contains(host, ":") {
		return "[" + strings.ToLower(host) + "]", nil
	}
	host = strings.TrimSuffix(host, ".")
	host, err := idna.Lookup.ToASCII(strings.ToLower(host))
	if err != nil {
		return "", err
	}
	if host == "" || strings.Trim(host, ".") != host || strings.Contains(host, "..") {
		return "", fmt.Errorf("%q is not a host", host)
	}
	return host, nil
}
