package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/package-url/packageurl-go"
	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/plain"
)

var sbomVerb = &cli.Verb[program]{
	Name: "sbom", Short: "write a software bill of materials",
	Long: `Every plugin of the lock and every file that one is made of: its package URL
(purl), SHA-256, the digest of its upstream, its platforms, and the plugins that
it is locked for, as JSON of CycloneDX 1.6 or SPDX 2.3. Equal files make equal
bytes: identifiers come from the digest of the lock. SPDX demands a time, which
is that of SOURCE_DATE_EPOCH, or the beginning of 1970.`,
	Example: `lockgen sbom --output plugins.cdx.json
lockgen sbom --format spdx --output plugins.spdx.json`,
	Run: runSBOM,
	Flags: func(f *pflag.FlagSet, p *program) {
		cli.Choice(f, &p.format, "format", "cyclonedx", "`FORMAT` is cyclonedx (the default) or spdx", "cyclonedx", "spdx")
		f.Var((*filePath)(&p.output), "output", "write `FILE` instead of standard output")
	},
}

func runSBOM(_ context.Context, p *program, _ []string) error {
	m, err := p.readManifest()
	if err != nil {
		return err
	}
	l, data, err := p.readLock()
	if err != nil {
		return err
	}
	b, err := newBill(m, l, data)
	if err != nil {
		return err
	}
	created, err := sourceDate(p.env)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if p.format == "spdx" {
		err = b.spdx(&text, created)
	} else {
		err = b.cyclonedx(&text)
	}
	if err != nil {
		return err
	}
	return p.deliver(plain.JSON(text.Bytes()))
}

// sourceDate is the time that SOURCE_DATE_EPOCH says, or the beginning of 1970
// (https://reproducible-builds.org/specs/source-date-epoch/).
func sourceDate(env func(string) string) (time.Time, error) {
	s := env("SOURCE_DATE_EPOCH")
	if s == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<36 {
		return time.Time{}, fault.Errorf(fault.Usage, "set it to the seconds since 1970, such as by: SOURCE_DATE_EPOCH=$(git log -1 --format=%ct), or unset it",
			"SOURCE_DATE_EPOCH is %q, expected a number of seconds", s)
	}
	return time.Unix(n, 0).UTC(), nil
}

// A bill is what a lock pins, in the words that both formats share.
type bill struct {
	digest  string // SHA-256 of the lock
	plugins []*part
	parts   []*part // of all closures: each package file once, however many plugins have it
}

// A part is a plugin, or a file of a closure.
type part struct {
	id            string // unique in the bill, and the same wherever the part is
	name, version string
	kind          string // application, library or file
	file          string // its name where it is downloaded, "" where only the package has one
	purl          string // "" for a plugin, which is made of its parts
	sha256        string // "" for a plugin
	sha512        string // the upstream's, "" for none
	url           string // source http
	platforms     []string
	facts         []fact
	excluded      bool    // not part of what runs
	needs         []*part // of a plugin: its parts
	runtime       *part   // the plugin that runs this one
	toolchain     *part   // the plugin that compiles this one
}

// A fact is what the formats have no field for.
type fact struct{ name, value string }

func (p *part) fact(name, value string) {
	if f := (fact{name, value}); value != "" && !slices.Contains(p.facts, f) {
		p.facts = append(p.facts, f)
	}
}

func newBill(m *manifest.Manifest, l *lock.Lock, data []byte) (*bill, error) {
	digest := sha256.Sum256(data)
	b := &bill{digest: hex.EncodeToString(digest[:])}
	plugins, parts := map[string]*part{}, map[string]*part{}
	var failed error
	for _, top := range closures(l) {
		v := l.Plugins[top.Name][top.Version]
		p := &part{id: "plugin:" + top.Name + "@" + top.Version, name: top.Name, version: top.Version, kind: "application"}
		plugins[top.Name+"@"+top.Version] = p
		b.plugins = append(b.plugins, p)
		p.fact("source", from(v))
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
		top.walk(func(branch *branch) {
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
				if !slices.Contains(p.needs, part) { // npm: the same package in two folders
					p.needs = append(p.needs, part)
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

// state is a cell in words.
func state(c lock.Cell) string {
	switch {
	case c.Emulate != "":
		return "emulates " + c.Emulate
	case c.Unavailable != "":
		return "unavailable: " + c.Unavailable
	}
	return "locked"
}

// newPart is a file of a closure as it is whichever plugin has it.
func newPart(b *branch, v *lock.Version, key string) *part {
	f := v.Files[key]
	p := &part{name: b.Name, version: b.Version, kind: "library", sha256: f.SHA256, url: f.URL}
	switch {
	case b.Kind == aFile || b.Kind == aGoMod:
		p.name, p.kind, p.file, p.excluded = path.Base(key), "file", path.Base(key), b.Kind == aGoMod
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

// place adds what is known of a part because it is in a closure.
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
	if name, version := v.PackageOf(key); slices.Contains(v.BuildScripts, name+"-"+version) {
		p.fact("build-script", "runs when it is compiled")
	}
}

// packageURL is the package URL of a file of a closure, by the rules of its type
// (https://github.com/package-url/purl-spec).
func packageURL(top *branch, v *lock.Version, key string) (string, error) {
	f := v.Files[key]
	name, version := v.PackageOf(key)
	u := packageurl.PackageURL{Name: name, Version: version}
	with := map[string]string{}
	k := v.Kind()
	switch {
	case k.Ecosystem:
		u.Type, u.Version, u.Subpath = k.PURL, k.V+version, k.PartOf(key)
		if i := strings.LastIndexAny(name, "/:"); i >= 0 { // of a scope, a path or a group
			u.Namespace, u.Name = name[:i], name[i+1:]
		}
		maps.Copy(with, k.Qualifiers(key, f))
	case v.Source == lock.OCI:
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

// deliver writes a result to --output, or prints it.
func (p *program) deliver(text []byte) error {
	if p.output == "" {
		p.ui.Result("%s", bytes.TrimRight(text, "\n"))
		return nil
	}
	if info, err := os.Stat(p.output); err == nil && !info.Mode().IsRegular() {
		return fault.Errorf(fault.Machine, "give the path of a file", "%s is not a regular file", p.output)
	}
	before, err := os.ReadFile(p.output)
	switch {
	case err == nil && before == nil:
		before = []byte{}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fault.Errorf(fault.Machine, "give the path of a file that can be written", "reading %s: %w", p.output, err)
	}
	for _, name := range []string{p.manifest, p.lock} {
		if a, err := filepath.Abs(followed(name)); err == nil && name != "" {
			if b, err := filepath.Abs(followed(p.output)); err == nil && a == b {
				return fault.Errorf(fault.Usage, "name another file", "--output %s would replace %s", p.output, name)
			}
		}
	}
	if err := replace(write{p.output, before, text}); err != nil {
		return err
	}
	p.ui.Say("wrote %s", p.output)
	return nil
}
