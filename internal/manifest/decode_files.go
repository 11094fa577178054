package manifest

import (
	"maps"
	"slices"
	"strings"
)

// This file decodes the keys that say where files are, see the package comment.

// fileKeys are keys that identify a file.
var fileKeys = []string{"tag", "asset", "checksums"}

// naming decodes how the publisher names the files of an entry.
func (d *decoder) naming(path []string, p *Plugin, t map[string]any) error {
	n := &p.Naming
	for _, f := range []struct {
		key string
		to  *string
	}{{"tag", &n.Tag}, {"asset", &n.Asset}, {"checksums", &n.Checksums}} {
		if v, ok := t[f.key]; ok {
			at := append(slices.Clone(path), f.key)
			var err error
			if *f.to, err = d.str(at, v); err != nil {
				return err
			}
			if p.Source == nil {
				return d.errorf(at, "add its source", "%s is set without a source", strings.Join(at, "."))
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
		at := append(slices.Clone(path), f.key)
		words, err := d.table(at, v)
		if err != nil {
			return err
		}
		if p.Source == nil {
			return d.errorf(at, "add its source", "%s is set without a source", strings.Join(at, "."))
		}
		*f.to = map[string]string{}
		for _, from := range slices.Sorted(maps.Keys(words)) {
			if (*f.to)[from], err = d.str(append(slices.Clone(at), from), words[from]); err != nil {
				return err
			}
		}
	}
	if p.Source == nil {
		return nil
	}
	if _, _, isGitHub := p.Source.GitHub(); isGitHub && n.Asset == "" && p.Protos != nil {
		return d.errorf(path, `add: asset = "NAME-{version}.tar.gz"`, "source %s needs the name of its asset", p.Source)
	}
	if err := n.Check(*p.Source, p.Binary); err != nil {
		return d.wrap(path, err)
	}
	return nil
}

// mirrors decodes [[mirror]].
func (d *decoder) mirrors(v any) error {
	if v == nil {
		return nil
	}
	path := []string{"mirror"}
	list, ok := v.([]map[string]any)
	if !ok {
		return d.errorf(path, `write from = "…" and to = "…" below [[mirror]]`, "mirror is not a list of tables")
	}
	for _, t := range list {
		if err := d.known(path, t, "from", "to"); err != nil {
			return err
		}
		var m Mirror
		for _, f := range []struct {
			key string
			to  *string
		}{{"from", &m.From}, {"to", &m.To}} {
			v, ok := t[f.key]
			if !ok {
				return d.errorf(path, "add: "+f.key+` = "https://…/"`, "a mirror has no %s", f.key)
			}
			var err error
			if *f.to, err = d.str(append(slices.Clone(path), f.key), v); err != nil {
				return err
			}
		}
		if err := m.Check(); err != nil {
			return d.wrap(path, err)
		}
		d.m.Mirrors = append(d.m.Mirrors, m)
	}
	return nil
}
