package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

// A bill is what the programs are made of, as Go recorded it in them.
type bill struct {
	programs map[string]*program
	modules  map[string]*module // by package URL
}

type program struct {
	builds  []cyclonedx.Component // one for each platform
	modules map[string]bool       // by package URL
}

type module struct{ path, version, sum string }

// purl is the package URL of a module of Go.
func (m *module) purl() string { return "pkg:golang/" + m.path + "@" + m.version }

// add takes one build of a program.
func (b *bill) add(name, platform string, data []byte, info *buildinfo.BuildInfo) {
	if b.programs == nil {
		b.programs, b.modules = map[string]*program{}, map[string]*module{}
	}
	p := b.programs[name]
	if p == nil {
		p = &program{modules: map[string]bool{}}
		b.programs[name] = p
	}
	sum := sha256.Sum256(data)
	p.builds = append(p.builds, cyclonedx.Component{
		BOMRef: name + "-" + platform, Type: cyclonedx.ComponentTypeFile, Name: name + "-" + platform,
		Hashes: &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}},
	})
	modules := []*module{{"stdlib", strings.TrimPrefix(info.GoVersion, "go"), ""}}
	for _, d := range info.Deps {
		modules = append(modules, &module{d.Path, d.Version, d.Sum})
	}
	for _, m := range modules {
		p.modules[m.purl()], b.modules[m.purl()] = true, m
	}
}

// write writes the bill as JSON of CycloneDX 1.6
// (https://cyclonedx.org/docs/1.6/json/).
func (b *bill) write(file string, r *release) error {
	const all = "buck2-protobuf"
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{
		Timestamp: r.time.Format(time.RFC3339),
		Component: &cyclonedx.Component{
			BOMRef: all, Type: cyclonedx.ComponentTypeApplication, Name: all, Version: r.version,
			PackageURL: "pkg:golang/github.com/birbparty/buck2-protobuf@" + r.version,
			Licenses:   &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "Apache-2.0"}}},
			Properties: &[]cyclonedx.Property{{Name: "buck2-protobuf:commit", Value: r.commit}},
		},
	}
	var components []cyclonedx.Component
	var dependencies []cyclonedx.Dependency
	names := slices.Sorted(maps.Keys(b.programs))
	dependencies = append(dependencies, cyclonedx.Dependency{Ref: all, Dependencies: &names})
	for _, name := range names {
		p := b.programs[name]
		on := slices.Sorted(maps.Keys(p.modules))
		components = append(components, cyclonedx.Component{BOMRef: name, Type: cyclonedx.ComponentTypeApplication, Name: name, Version: r.version, Components: &p.builds})
		dependencies = append(dependencies, cyclonedx.Dependency{Ref: name, Dependencies: &on})
	}
	for _, purl := range slices.Sorted(maps.Keys(b.modules)) {
		m := b.modules[purl]
		c := cyclonedx.Component{BOMRef: purl, Type: cyclonedx.ComponentTypeLibrary, Name: m.path, Version: m.version, PackageURL: purl}
		if m.sum != "" {
			c.Properties = &[]cyclonedx.Property{{Name: "buck2-protobuf:go.sum", Value: m.sum}}
		}
		components = append(components, c)
	}
	bom.Components, bom.Dependencies = &components, &dependencies
	var text bytes.Buffer
	if err := cyclonedx.NewBOMEncoder(&text, cyclonedx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return err
	}
	return os.WriteFile(file, text.Bytes(), 0o644)
}
