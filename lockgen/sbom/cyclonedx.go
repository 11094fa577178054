package sbom

import (
	"io"

	"github.com/CycloneDX/cyclonedx-go"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// CycloneDX writes a BOM in the JSON format of CycloneDX 1.6
// (https://cyclonedx.org/docs/1.6/json/). Facts without a field are properties
// named "buck2-protobuf:NAME".
func (b *BOM) CycloneDX(w io.Writer) error {
	const lockRef = "lock"
	bom := cyclonedx.NewBOM()
	bom.SerialNumber = "urn:uuid:" + uuid(b.digest)
	bom.Metadata = &cyclonedx.Metadata{
		Tools: &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{{Type: cyclonedx.ComponentTypeApplication, Name: "lockgen"}}},
		Component: &cyclonedx.Component{
			BOMRef: lockRef, Type: cyclonedx.ComponentTypeFile, Name: lock.FileName,
			Hashes: &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: b.digest}},
		},
	}
	components, dependencies := []cyclonedx.Component{}, []cyclonedx.Dependency{}
	var top []string
	for _, p := range b.plugins {
		components = append(components, p.component())
		top = append(top, p.id)
		var on []string
		for _, part := range p.needs {
			on = append(on, part.id)
		}
		for _, other := range []*part{p.runtime, p.toolchain} {
			if other != nil {
				on = append(on, other.id)
			}
		}
		dependencies = append(dependencies, dependency(p.id, on))
	}
	for _, p := range b.parts {
		components = append(components, p.component())
	}
	dependencies = append([]cyclonedx.Dependency{dependency(lockRef, top)}, dependencies...)
	bom.Components, bom.Dependencies = &components, &dependencies
	return cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(bom, cyclonedx.SpecVersion1_6)
}

func dependency(ref string, on []string) cyclonedx.Dependency {
	if len(on) == 0 {
		return cyclonedx.Dependency{Ref: ref}
	}
	return cyclonedx.Dependency{Ref: ref, Dependencies: &on}
}

func (p *part) component() cyclonedx.Component {
	c := cyclonedx.Component{BOMRef: p.id, Type: cyclonedx.ComponentType(p.kind), Name: p.name, Version: p.version, PackageURL: p.purl}
	if p.excluded {
		c.Scope = cyclonedx.ScopeExcluded
	}
	var hashes []cyclonedx.Hash
	if p.sha256 != "" {
		hashes = append(hashes, cyclonedx.Hash{Algorithm: cyclonedx.HashAlgoSHA256, Value: p.sha256})
	}
	if p.sha512 != "" {
		hashes = append(hashes, cyclonedx.Hash{Algorithm: cyclonedx.HashAlgoSHA512, Value: p.sha512})
	}
	if hashes != nil {
		c.Hashes = &hashes
	}
	if p.url != "" {
		c.ExternalReferences = &[]cyclonedx.ExternalReference{{Type: cyclonedx.ERTypeDistribution, URL: p.url}}
	}
	var properties []cyclonedx.Property
	add := func(name, value string) {
		properties = append(properties, cyclonedx.Property{Name: "buck2-protobuf:" + name, Value: value})
	}
	for _, f := range p.facts {
		add(f.name, f.value)
	}
	if p.purl != "" { // a plugin lists its platforms in its facts
		for _, platform := range p.platforms {
			add("platform", platform)
		}
	}
	if properties != nil {
		c.Properties = &properties
	}
	return c
}

// uuid returns a UUID of version 8 (RFC 9562, 5.8) for a digest in hexadecimal.
func uuid(digest string) string {
	variant := "89ab"[digest[16]&3]
	return digest[:8] + "-" + digest[8:12] + "-8" + digest[13:16] + "-" + string(variant) + digest[17:20] + "-" + digest[20:32]
}
