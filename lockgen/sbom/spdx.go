package sbom

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// SPDX writes a BOM in the JSON format of SPDX 2.3
// (https://spdx.github.io/spdx-spec/v2.3/). Facts without a field are lines of
// the comments.
func (b *BOM) SPDX(w io.Writer, created time.Time) error {
	const none = "NOASSERTION"
	lockID := common.ElementID("Lock")
	doc := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName:      lock.FileName,
		DocumentNamespace: "https://github.com/birbparty/buck2-protobuf/sbom/" + b.digest,
		CreationInfo: &spdx.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "lockgen"}},
			Created:  created.Format(time.RFC3339),
		},
		Packages: []*spdx.Package{{
			PackageName: lock.FileName, PackageSPDXIdentifier: lockID, PackageFileName: lock.FileName, PackageDownloadLocation: none,
			PackageChecksums: []common.Checksum{{Algorithm: common.SHA256, Value: b.digest}}, PrimaryPackagePurpose: "FILE",
		}},
	}
	relate := func(a common.ElementID, how string, to common.ElementID) {
		doc.Relationships = append(doc.Relationships, &spdx.Relationship{
			RefA: common.DocElementID{ElementRefID: a}, RefB: common.DocElementID{ElementRefID: to}, Relationship: how,
		})
	}
	relate("DOCUMENT", common.TypeRelationshipDescribe, lockID)
	for _, p := range append(append([]*part{}, b.plugins...), b.parts...) {
		pkg := &spdx.Package{
			PackageName: p.name, PackageSPDXIdentifier: p.spdxID(), PackageVersion: p.version, PackageFileName: p.file,
			PackageDownloadLocation: none, PrimaryPackagePurpose: strings.ToUpper(p.kind), PackageComment: p.comment(),
		}
		if p.url != "" {
			pkg.PackageDownloadLocation = p.url
		}
		if p.purl != "" {
			pkg.PackageExternalReferences = []*spdx.PackageExternalReference{{Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: p.purl}}
		}
		if p.sha256 != "" {
			pkg.PackageChecksums = append(pkg.PackageChecksums, common.Checksum{Algorithm: common.SHA256, Value: p.sha256})
		}
		if p.sha512 != "" {
			pkg.PackageChecksums = append(pkg.PackageChecksums, common.Checksum{Algorithm: common.SHA512, Value: p.sha512})
		}
		doc.Packages = append(doc.Packages, pkg)
	}
	for _, p := range b.plugins {
		relate(lockID, common.TypeRelationshipDependsOn, p.spdxID())
		for _, part := range p.needs {
			relate(p.spdxID(), common.TypeRelationshipDependsOn, part.spdxID())
		}
		if p.runtime != nil {
			relate(p.runtime.spdxID(), common.TypeRelationshipRuntimeDependencyOf, p.spdxID())
		}
		if p.toolchain != nil {
			relate(p.toolchain.spdxID(), common.TypeRelationshipBuildToolOf, p.spdxID())
		}
	}
	return spdxjson.Write(doc, w, spdxjson.Indent("  "), spdxjson.EscapeHTML(false))
}

// spdxID returns the identifier of a part. It may contain only letters, digits,
// dots and hyphens.
func (p *part) spdxID() common.ElementID {
	kind := "File"
	if p.purl == "" {
		kind = "Plugin"
	}
	word := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, p.name+"-"+p.version)
	sum := sha256.Sum256([]byte(p.id))
	return common.ElementID(kind + "-" + strings.Trim(word, "-") + "-" + hex.EncodeToString(sum[:8]))
}

func (p *part) comment() string {
	var lines []string
	for _, f := range p.facts {
		lines = append(lines, f.name+": "+f.value)
	}
	if p.purl != "" {
		lines = append(lines, "platforms: "+strings.Join(p.platforms, " "))
	}
	return strings.Join(lines, "\n")
}
