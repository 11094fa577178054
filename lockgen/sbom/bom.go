// Package sbom writes a software bill of materials (BOM) for a lock, in
// CycloneDX or SPDX. The same lock always gives the same bytes.
package sbom

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/lockgen/closure"
)

// A BOM is the content of a lock, independent of the format.
type BOM struct {
	digest  string // SHA-256 of the lock
	plugins []*part
	parts   []*part // of all closures; a package file that several plugins have occurs once
}

// A part is a plugin, or a file of a closure.
type part struct {
	id            string // unique in the BOM, and the same in every BOM
	name, version string
	kind          string // application, library or file
	file          string // its name as downloaded, "" if only the package has a name
	purl          string // "" for a plugin, which consists of parts
	sha256        string // "" for a plugin, and for a package inside a file
	sha512        string // from the upstream, "" for none
	url           string // for the source http
	platforms     []string
	facts         []fact
	excluded      bool    // not part of what runs
	needs         []*part // for a plugin: its parts
	runtime       *part   // the plugin that runs this one
	toolchain     *part   // the plugin that compiles this one
}

// A fact is a property that the formats have no field for.
type fact struct{ name, value string }

func (p *part) fact(name, value string) {
	if f := (fact{name, value}); value != "" && !slices.Contains(p.facts, f) {
		p.facts = append(p.facts, f)
	}
}

// New returns the BOM of a lock, whose text is data.
func New(l *lock.Lock, data []byte) (*BOM, error) {
	digest := sha256.Sum256(data)
	b := &BOM{digest: hex.EncodeToString(digest[:])}
	plugins, parts := map[string]*part{}, map[string]*part{}
	var failed error
	for _, top := range closure.All(l) {
		v := l.Plugins[top.Name][top.Version]
		p := &part{id: "plugin:" + top.Name + "@" + top.Version, name: top.Name, version: top.Version, kind: "application"}
		plugins[top.Name+"@"+top.Version] = p
		b.plugins = append(b.plugins, p)
		p.fact("source", closure.Source(v))
		p.fact("trust", v.Trust)
		p.fact("python", strings.Join(v.Python, " "))
		for _, platform := range lock.PlatformNames() {
			c := v.Platforms[platform]
			p.fact("platform:"+platform, state(c))
			if c.Tree != "" {
				p.fact("tree:"+platform, "sha256:"+c.Tree)
			}
			if c.Unavailable == "" {
				p.platforms = append(p.platforms, platform)
			}
		}
		need := func(part *part) {
			if !slices.Contains(p.needs, part) { // npm may have the same package in two folders
				p.needs = append(p.needs, part)
			}
		}
		top.Walk(func(branch *closure.Branch) {
			for _, key := range branch.Files {
				f := v.Files[key]
				purl, err := packageURL(top, v, key)
				if err != nil && failed == nil {
					failed = err
				}
				id := purl + "#sha256=" + f.SHA256
				part := parts[id]
				if part == nil {
					part = newPart(branch, v, key)
					part.id, part.purl = id, purl
					parts[id] = part
				}
				part.place(v, key)
				need(part)
				for _, inner := range branch.Below {
					if inner.Kind != closure.Bundled {
						continue
					}
					found, err := part.bundled(v.Kind(), inner)
					if err != nil {
						failed = err
						continue
					}
					if parts[found.id] == nil {
						parts[found.id] = found
					}
					parts[found.id].place(v, key)
					need(parts[found.id])
				}
			}
		})
	}
	if failed != nil {
		return nil, failed
	}
	for _, p := range b.plugins {
		v := l.Plugins[p.name][p.version]
		p.runtime, p.toolchain = plugins[v.Runtime], plugins[v.Toolchain]
		slices.SortFunc(p.needs, func(x, y *part) int { return strings.Compare(x.id, y.id) })
	}
	for _, id := range slices.Sorted(maps.Keys(parts)) {
		part := parts[id]
		slices.Sort(part.platforms)
		part.platforms = slices.Compact(part.platforms)
		slices.SortStableFunc(part.facts, func(x, y fact) int { return strings.Compare(x.name+"\n"+x.value, y.name+"\n"+y.value) })
		b.parts = append(b.parts, part)
	}
	return b, nil
}

// state describes a cell.
func state(c lock.Cell) string {
	switch {
	case c.Emulate != "":
		return "emulates " + c.Emulate
	case c.Unavailable != "":
		return "unavailable: " + c.Unavailable
	}
	return "locked"
}

// newPart returns a file of a closure, with the properties that do not depend
// on the plugin.
func newPart(b *closure.Branch, v *lock.Version, key string) *part {
	f := v.Files[key]
	p := &part{name: b.Name, version: b.Version, kind: "library", sha256: f.SHA256, url: f.URL}
	switch {
	case b.Kind == closure.File || b.Kind == closure.GoMod:
		p.name, p.kind, p.file, p.excluded = path.Base(key), "file", path.Base(key), b.Kind == closure.GoMod
		p.version = f.Version
	case !v.Kind().Folders:
		p.file = path.Base(key)
	}
	if raw, ok := strings.CutPrefix(f.Integrity, "sha512-"); ok {
		if sum, err := base64.StdEncoding.DecodeString(raw); err == nil { // the lock was validated
			p.sha512 = hex.EncodeToString(sum)
		}
	}
	if strings.HasPrefix(f.Integrity, "h1:") {
		p.fact("go.sum", f.Integrity)
	}
	p.fact("go.sum:go.mod", f.GoMod)
	if f.Manifest != "" {
		p.fact("oci:manifest", "sha256:"+f.Manifest)
	}
	p.fact("size", strconv.FormatInt(f.Size, 10))
	return p
}

// place adds the properties that the file has in one closure.
func (p *part) place(v *lock.Version, key string) {
	f := v.Files[key]
	for _, platform := range lock.PlatformNames() {
		if f.For(platform) && v.Platforms[platform].Locked() {
			p.platforms = append(p.platforms, platform)
		}
	}
	if v.Kind().Folders {
		p.fact("folder", key)
	}
	for _, python := range f.Python {
		p.fact("python", python)
	}
	if name, version := v.PackageOf(key); v.RunsCode(name + "-" + version) {
		p.fact("build-script", "runs when it is compiled")
	}
}

// bundled returns a package that is inside the file of p. The file alone has digests.
func (p *part) bundled(k *lock.Kind, b *closure.Branch) (*part, error) {
	u := ecosystemURL(k, b.Name, b.Version)
	if err := u.Normalize(); err != nil {
		return nil, fmt.Errorf("%s inside %s: the package URL: %w", b.Label(), p.purl, err)
	}
	inner := &part{id: u.ToString() + "#in=" + p.id, name: b.Name, version: b.Version, kind: "library", purl: u.ToString()}
	inner.fact("inside", p.purl)
	return inner, nil
}

// ecosystemURL is the package URL of a package of an ecosystem.
func ecosystemURL(k *lock.Kind, name, version string) packageurl.PackageURL {
	u := packageurl.PackageURL{Type: k.PURL, Name: name, Version: k.V + version}
	if i := strings.LastIndexAny(name, "/:"); i >= 0 { // a scope, a path or a group
		u.Namespace, u.Name = name[:i], name[i+1:]
	}
	return u
}

// packageURL returns the package URL of a file of a closure, according to its
// type (https://github.com/package-url/purl-spec).
func packageURL(top *closure.Branch, v *lock.Version, key string) (string, error) {
	f := v.Files[key]
	name, version := v.PackageOf(key)
	u := packageurl.PackageURL{Name: name, Version: version}
	with := map[string]string{}
	k := v.Kind()
	switch {
	case k.Ecosystem:
		u = ecosystemURL(k, name, version)
		u.Subpath = k.PartOf(key)
		maps.Copy(with, k.Qualifiers(key, f))
	case f.Manifest != "":
		u.Type, u.Name, u.Version = packageurl.TypeOCI, path.Base(v.Package), "sha256:"+f.Manifest
		with["repository_url"], with["tag"] = v.Package, f.Version
	default:
		u.Type, u.Name, u.Version = packageurl.TypeGeneric, top.Name, top.Version
		with["download_url"], with["checksum"] = f.URL, "sha256:"+f.SHA256
	}
	if len(with) > 0 {
		u.Qualifiers = packageurl.QualifiersFromMap(with)
	}
	if err := u.Normalize(); err != nil {
		return "", fmt.Errorf("%s %s: the package URL of %s: %w", top.Name, top.Version, key, err)
	}
	return u.ToString(), nil
}
