package manifest

import (
	"maps"
	"slices"
)

// This file decodes the keys that say where files are, see the package comment.

// fileKeys are keys that identify a file.
var fileKeys = []string{"tag", "asset", "checksums"}

// naming decodes how the publisher names the files of an entry.
func (d *decoder) naming(path []string, p *Plugin, t map[string]any) {
	n := &p.Naming
	for _, f := range []struct {
		key string
		to  *string
	}{{"tag", &n.Tag}, {"asset", &n.Asset}, {"checksums", &n.Checksums}} {
		if v, ok := t[f.key]; ok {
			at := in(path, f.key)
			*f.to = d.str(at, v)
			if p.Source == nil {
				panic(d.errorf(at, "add its source", "%s is set without a source", dotted(at)))
			}
		}
	}
	for _, f := range []struct {
		key string
		to  *map[string]string
	}{{"os", &n.OS}, {"arch", &n.Arch}} {
		v, ok := t[f.key]
		if !ok {
			continue
		}
		at := in(path, f.key)
		words := d.table(at, v)
		if p.Source == nil {
			panic(d.errorf(at, "add its source", "%s is set without a source", dotted(at)))
		}
		*f.to = map[string]string{}
		for _, from := range slices.Sorted(maps.Keys(words)) {
			(*f.to)[from] = d.str(in(at, from), words[from])
		}
	}
	if p.Source == nil {
		return
	}
	if _, _, isGitHub := p.Source.GitHub(); isGitHub && n.Asset == "" && p.Protos != nil {
		panic(d.errorf(path, `add: asset = "NAME-{version}.tar.gz"`, "source %s needs the name of its asset", p.Source))
	}
	d.check(path, n.Check(*p.Source, p.Binary))
}

// mirrors decodes [[mirror]].
func (d *decoder) mirrors(v any) {
	if v == nil {
		return
	}
	path := []string{"mirror"}
	list, ok := v.([]map[string]any)
	if !ok {
		panic(d.errorf(path, `write from = "…" and to = "…" below [[mirror]]`, "mirror is not a list of tables"))
	}
	for i, t := range list {
		path := element(path, i)
		d.known(path, t, "from", "to")
		var m Mirror
		for _, f := range []struct {
			key string
			to  *string
		}{{"from", &m.From}, {"to", &m.To}} {
			v, ok := t[f.key]
			if !ok {
				panic(d.errorf(path, "add: "+f.key+` = "https://…/"`, "a mirror has no %s", f.key))
			}
			*f.to = d.str(in(path, f.key), v)
		}
		d.check(path, m.Check())
		d.m.Mirrors = append(d.m.Mirrors, m)
	}
}
