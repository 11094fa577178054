package manifest

import (
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// A Protos has the keys of an entry of [protos] that plugins do not have. In
// [Manifest.Plugins] the entry is called protos/NAME.
type Protos struct {
	Root string   // template of the folder of the archive from which imports are counted; "" for the catalogue's
	Only []string // patterns of the files that belong to the package, see [syntax.CheckOnly]; nil for the catalogue's, or all
	Deps []string // names of the proto packages that it imports, sorted; nil to detect them
}

var protosKeys = append([]string{"version", "source", "root", "files", "deps"}, fileKeys...)

// protos decodes [protos].
func (d *decoder) protos(v any) {
	if v == nil {
		return
	}
	table := d.table([]string{"protos"}, v)
	for _, name := range slices.Sorted(maps.Keys(table)) {
		at := []string{"protos", name}
		d.hinted(at, "", syntax.CheckName(name))
		d.m.Plugins[lock.ProtosPrefix+name] = d.protoPackage(at, table[name])
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		d.protosDeps(name, table)
	}
}

// protosDeps checks that deps are other entries.
func (d *decoder) protosDeps(name string, table map[string]any) {
	for _, dep := range d.m.Plugins[lock.ProtosPrefix+name].Protos.Deps {
		if _, ok := table[dep]; !ok || dep == name {
			names := slices.DeleteFunc(slices.Sorted(maps.Keys(table)), func(s string) bool { return s == name })
			panic(d.errorf([]string{"protos", name, "deps"}, fault.DidYouMean(dep, names, "add it to [protos], or remove deps: they are detected from the imports"),
				"deps of %s has %q, which is not another entry of [protos]", name, dep))
		}
	}
}

func (d *decoder) protoPackage(path []string, v any) *Plugin {
	p := &Plugin{Protos: &Protos{}}
	key := func(k string) []string { return in(path, k) }
	t, isTable := v.(map[string]any)
	if !isTable {
		p.Versions = []string{d.str(path, v)}
		d.versions(path, p.Versions)
		return p
	}
	d.known(path, t, protosKeys...)
	if _, ok := t["version"]; !ok {
		panic(d.errorf(path, `write: version = "1.2.3"`, "%s needs a version", dotted(path)))
	}
	p.Versions = []string{d.str(key("version"), t["version"])}
	d.versions(key("version"), p.Versions)
	if v, ok := t["source"]; ok {
		p.Source = d.source(key("source"), v)
	}
	if v, ok := t["root"]; ok {
		p.Protos.Root = d.str(key("root"), v)
		d.check(key("root"), CheckRoot(p.Protos.Root))
	}
	if v, ok := t["files"]; ok {
		p.Protos.Only = d.strs(key("files"), v)
		for _, pattern := range p.Protos.Only {
			d.hinted(key("files"), `write import paths, such as "acme/v1/**" or "!acme/internal/**"`, syntax.CheckOnly(pattern))
		}
	}
	if v, ok := t["deps"]; ok {
		if list, is := v.([]any); is && len(list) == 0 {
			p.Protos.Deps = []string{}
		} else {
			p.Protos.Deps = d.strs(key("deps"), v)
		}
		slices.Sort(p.Protos.Deps)
	}
	d.naming(path, p, t)
	if p.Source != nil {
		d.check(key("source"), CheckProtos(*p.Source, p.Naming))
	}
	return p
}

// CheckRoot checks the template of the folder from which imports are counted.
func CheckRoot(root string) error {
	if err := checkTemplate(root, "version"); err != nil {
		return err
	}
	if err := syntax.CheckShown(strings.ReplaceAll(root, "{version}", "1")); err != nil {
		return fault.Errorf(fault.Usage, `write a folder of the archive, such as "proto"; leave root out for the archive itself`, "%w", err)
	}
	return nil
}

// CheckProtos returns an error of class [fault.Usage] for a source that cannot
// be a proto package, which is one archive, the same on every platform.
func CheckProtos(s Source, n Naming) error {
	if _, extras := s.Bare(); extras != nil {
		return fault.Errorf(fault.Usage, "remove the brackets", "a proto package has no extras")
	}
	name, varying := n.file(s)
	if varying != "" {
		return fault.Errorf(fault.Usage, "remove {os}, {arch}, {goos}, {goarch} and {exe}", "a proto package is the same on every platform, but %q is not", varying)
	}
	if form, err := Archive(name); name != "" && (err != nil || form != "zip" && !strings.HasPrefix(form, "tar.")) {
		return fault.Errorf(fault.Usage, "use a .zip or .tar.gz; for a repository: https://…/archive/refs/tags/v{version}.tar.gz", "a proto package is an archive, but %q does not have the name of one", name)
	}
	return nil
}
