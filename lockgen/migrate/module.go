package migrate

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// ModuleFile is the file in which buf describes .proto files. WorkspaceFile
// lists the folders that contain them (v1).
const (
	ModuleFile    = "buf.yaml"
	WorkspaceFile = "buf.work.yaml"
)

// Module reads a buf.yaml of version v1beta1, v1 or v2
// (https://buf.build/docs/configuration/v2/buf-yaml). Its deps become proto
// packages of the catalogue. The error for a file that is not one has class
// [fault.Usage], and the line.
func Module(name string, data []byte) (*Result, error) {
	const hint = "give the " + ModuleFile + " that buf build reads"
	b, top, err := parseBuf(name, data)
	if err != nil {
		return nil, err
	}
	if v, there := top["version"]; there && !slices.Contains([]string{"v1beta1", "v1", "v2"}, b.version) {
		return nil, fault.Errorf(fault.Usage, "give a "+ModuleFile+" with version: v1beta1, v1 or v2", "%s: version is %q", b.at("version"), fmt.Sprint(v))
	}
	deps, isList := top["deps"].([]any)
	if top["deps"] != nil && !isList {
		return nil, fault.Errorf(fault.Usage, hint, "%s: deps must be a list", b.at("deps"))
	}
	for i, dep := range deps {
		s, ok := dep.(string)
		if !ok || s == "" {
			return nil, fault.Errorf(fault.Usage, hint, "%s: a dep must be a module", b.at("deps", i))
		}
		b.dep(b.at("deps", i), s)
	}
	for _, key := range slices.Sorted(maps.Keys(top)) {
		b.module(key, top[key])
	}
	return b.Result, nil
}

// dep finds the proto package for a module, HOST/OWNER/NAME:LABEL.
func (b *bufFile) dep(at, dep string) {
	ref, label, _ := strings.Cut(dep, ":")
	host, _, _ := strings.Cut(ref, "/")
	switch protos, wellKnown := catalog.Builtin().Module(ref); {
	case host != catalog.BufRegistry:
		b.lack(at, dep, "it comes from your own registry, which lockgen does not know: write an entry for it in [protos] of plugins.toml")
	case wellKnown:
		// These files are part of protoc.
	case protos == "":
		b.lack(at, dep, "lockgen knows no proto package with its files: set version, source and root in [protos] of plugins.toml")
	default:
		if label != "" {
			b.lack(at, dep, "%s is not a version of its publisher: lockgen takes the newest; for another one, run: lockgen add %s%s@VERSION", label, lock.ProtosPrefix, protos)
		}
		if !slices.Contains(b.Protos, protos) {
			b.Protos = append(b.Protos, protos)
		}
	}
}

// module reads the other keys of a buf.yaml.
func (b *bufFile) module(key string, value any) {
	at := b.at(key)
	fields, _ := value.(map[string]any)
	switch key {
	case "version", "deps", "name":
	case "modules":
		modules, _ := value.([]any)
		for i, m := range modules {
			fields, _ := m.(map[string]any)
			b.folder(b.at(key, i), fields["path"], fields["excludes"])
		}
	case "build":
		roots, _ := fields["roots"].([]any)
		for _, root := range roots {
			b.folder(b.at(key, "roots"), root, nil)
		}
		b.folder(b.at(key, "excludes"), nil, fields["excludes"])
	case "lint", "breaking":
		b.lack(at, key, "pass the file to buf_%s_test as config, or the rules as use and skip", key)
	default:
		b.lack(at, key, "lockgen does not know this key")
	}
}

// folder reads a folder that imports are relative to, and the excludes.
func (b *bufFile) folder(at string, path, excludes any) {
	if s, ok := path.(string); ok && s != "." {
		b.lack(at, "path: "+s, "lockgen buckify finds this folder from the imports; or list it in roots of [buckify] in plugins.toml")
	}
	if excludes != nil {
		b.lack(at, "excludes", "for lockgen buckify, list them in exclude of [buckify] in plugins.toml")
	}
}

// modules reads the buf.yaml of a folder, and those of the folders that its
// buf.work.yaml lists. It returns nil for none.
func modules(dir string) (*Result, error) {
	var all *Result
	folders := []string{"."}
	file := filepath.Join(dir, WorkspaceFile)
	if data, err := input.File(file); err == nil {
		var top struct{ Directories []string }
		if err := yaml.Unmarshal(data, &top); err != nil {
			return nil, bad(file, err)
		}
		folders = append(folders, top.Directories...)
		all = &Result{}
	}
	for _, folder := range folders {
		file := filepath.Join(dir, filepath.FromSlash(folder), ModuleFile)
		data, err := input.File(file)
		if err != nil || !filepath.IsLocal(filepath.FromSlash(folder)) {
			continue // buf's defaults apply; buf refuses a folder outside
		}
		r, err := Module(file, data)
		if err != nil {
			return nil, err
		}
		all = all.with(r)
	}
	return all, nil
}

// with merges two results. Either may be nil.
func (r *Result) with(o *Result) *Result {
	if r == nil || o == nil {
		if r == nil {
			return o
		}
		return r
	}
	r.Uses, r.Owns, r.Lacks = append(r.Uses, o.Uses...), append(r.Owns, o.Owns...), append(r.Lacks, o.Lacks...)
	for _, p := range o.Protos {
		if !slices.Contains(r.Protos, p) {
			r.Protos = append(r.Protos, p)
		}
	}
	return r
}

// parseBuf parses a file of buf.
func parseBuf(name string, data []byte) (*bufFile, map[string]any, error) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, nil, bad(name, err)
	}
	var top map[string]any
	if err := yaml.Unmarshal(data, &top); err != nil {
		return nil, nil, bad(name, err)
	}
	b := &bufFile{Result: &Result{}, name: name, file: file}
	b.version, _ = top["version"].(string)
	return b, top, nil
}
