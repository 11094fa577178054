package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/package-url/packageurl-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// kinds is a place with [everyKind], and files of Maven.
func kinds(t *testing.T) *place {
	t.Helper()
	p := newPlace(t)
	l := everyKind(t)
	v := &lock.Version{Source: lock.Maven, Package: "com.acme:jar", Include: "include", Trust: "checksum-file", Platforms: map[string]lock.Cell{}, Files: map[string]lock.File{
		"com.acme/jar-1.0-linux-x86_64.exe":   {Name: "com.acme:jar", Version: "1.0", SHA256: sumA, Size: 7, Platforms: []string{"linux-x86_64"}},
		"com.acme/jar-1.0-windows-x86_64.exe": {Name: "com.acme:jar", Version: "1.0", SHA256: sumB, Size: 8, Platforms: []string{"windows-x86_64"}},
		"com.acme/protos-1.0.jar":             {Name: "com.acme:protos", Version: "1.0", SHA256: sumB, Size: 9, Archive: "zip"},
	}}
	for _, platform := range lock.PlatformNames() {
		v.Platforms[platform] = lock.Cell{Unavailable: "no"}
	}
	v.Platforms["linux-x86_64"] = lock.Cell{Binary: "jar", Tree: sumA}
	v.Platforms["windows-x86_64"] = lock.Cell{Binary: "jar.exe", Tree: sumA}
	l.Plugins["jar"] = map[string]*lock.Version{"1.0": v}
	p.lockOf(l)
	p.write("plugins.toml", `platforms = ["linux-x86_64", "windows-x86_64"]
[plugins]
jar = { version = "1.0", source = "maven:com.acme:jar", include = "include" }
[registries]
maven = "https://maven.example.com/repo/"
`)
	return p
}

// wholeBill demands that the references of a bill are whole and its package URLs canonical. It
// returns the components by package URL.
func wholeBill(t *testing.T, bom *cyclonedx.BOM) map[string]cyclonedx.Component {
	t.Helper()
	got := map[string]cyclonedx.Component{}
	refs := map[string]bool{"lock": true}
	for _, c := range *bom.Components {
		if refs[c.BOMRef] {
			t.Errorf("%s is there twice", c.BOMRef)
		}
		refs[c.BOMRef] = true
		if c.PackageURL != "" {
			got[c.PackageURL] = c
			u, err := packageurl.FromString(c.PackageURL)
			if err != nil || u.ToString() != c.PackageURL {
				t.Errorf("%s is not canonical: %s %v", c.PackageURL, u.ToString(), err)
			}
		}
	}
	for _, d := range *bom.Dependencies {
		for _, on := range append([]string{d.Ref}, deref(d.Dependencies)...) {
			if !refs[on] {
				t.Errorf("%s needs %s, which is not there", d.Ref, on)
			}
		}
	}
	return got
}

// TestSBOMPackages: what a bill says of each kind of source.
func TestSBOMPackages(t *testing.T) {
	t.Parallel()
	p := kinds(t)
	out, _ := p.ok("sbom")
	bom := new(cyclonedx.BOM)
	if err := cyclonedx.NewBOMDecoder(strings.NewReader(out), cyclonedx.BOMFileFormatJSON).Decode(bom); err != nil {
		t.Fatal(err)
	}
	got := wholeBill(t, bom)
	for _, purl := range []string{
		"pkg:npm/%40acme/deep@2.0.0", "pkg:npm/b@1.0.0", "pkg:npm/b@2.0.0", "pkg:npm/c@3.0.0",
		"pkg:pypi/snake-plugin@3.0?file_name=snake_plugin-3.0-py3-none-any.whl",
		"pkg:pypi/fast@1.0?file_name=fast-1.0-cp312-cp312-manylinux_2_17_x86_64.whl",
		"pkg:cargo/libc@0.2.1", "pkg:cargo/windows-sys@0.5.0",
		"pkg:golang/example.com/acme/gopher@v1.2.3", "pkg:golang/example.com/dep@v0.1.0#go.mod", "pkg:golang/golang.org/toolchain@v0.0.1-go1.26.0.linux-amd64",
		"pkg:oci/pulled@sha256:" + sumB + "?repository_url=registry.example.com%2Facme%2Fpulled&tag=v7",
		"pkg:generic/node@1.0.0?checksum=sha256:" + sumA + "&download_url=https:%2F%2Fexample.com%2Fnode.tar.gz",
		"pkg:maven/com.acme/jar@1.0?classifier=linux-x86_64&type=exe",
		"pkg:maven/com.acme/jar@1.0?classifier=windows-x86_64&type=exe",
		"pkg:maven/com.acme/protos@1.0?type=jar",
	} {
		c, ok := got[purl]
		if !ok {
			t.Errorf("no %s", purl)
			continue
		}
		if h := *c.Hashes; h[0].Algorithm != "SHA-256" || h[0].Value != sumA && h[0].Value != sumB {
			t.Errorf("%s: %v", purl, h)
		}
	}
	if t.Failed() {
		for purl := range got {
			t.Log(purl)
		}
		t.FailNow()
	}
	for purl, want := range map[string]string{
		"pkg:npm/c@1.0.0":                           "platform=linux-x86_64",
		"pkg:cargo/libc@0.2.1":                      "build-script=runs when it is compiled",
		"pkg:golang/example.com/acme/gopher@v1.2.3": "go.sum=h1:",
		"pkg:npm/c@3.0.0":                           "folder=node_modules/@acme/deep/node_modules/b/node_modules/c",
	} {
		if text := facts(got[purl]); !strings.Contains(text, want) {
			t.Errorf("%s: no %s in %s", purl, want, text)
		}
	}
	if h := *got["pkg:npm/b@1.0.0"].Hashes; len(h) != 2 || h[1].Algorithm != "SHA-512" || len(h[1].Value) != 128 {
		t.Error(h)
	}
	if got["pkg:golang/example.com/dep@v0.1.0#go.mod"].Scope != "excluded" {
		t.Error("a go.mod is in scope")
	}
	for _, c := range *bom.Components {
		if c.BOMRef == "plugin:deep@2.0.0" {
			if text := facts(c); !strings.Contains(text, "platform:windows-aarch64=emulates windows-x86_64") || !strings.Contains(text, "platform:macos-aarch64=unavailable: <b>no</b> build") {
				t.Error(text)
			}
		}
	}
	for _, want := range []string{`"ref": "plugin:deep@2.0.0"`, `"plugin:node@1.0.0"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s", want)
		}
	}
}

func deref(list *[]string) []string {
	if list == nil {
		return nil
	}
	return *list
}

func facts(c cyclonedx.Component) string {
	var lines []string
	if c.Properties != nil {
		for _, p := range *c.Properties {
			lines = append(lines, strings.TrimPrefix(p.Name, "buck2-protobuf:")+"="+p.Value)
		}
	}
	return strings.Join(lines, "\n")
}

// TestSBOMIsWhole: every file of the repository's lock is in both bills, for its
// plugin, and the bills name no host.
func TestSBOMIsWhole(t *testing.T) {
	t.Parallel()
	p := own(t)
	l := p.locked()
	for _, format := range []string{"cyclonedx", "spdx"} {
		out, _ := p.ok("sbom", "--format", format)
		if again, _ := own(t).ok("sbom", "--format", format); again != out {
			t.Errorf("%s: other bytes in another folder", format)
		}
		for _, host := range regexp.MustCompile(`https?://[^/"]+`).FindAllString(out, -1) {
			if !slices.Contains([]string{"http://cyclonedx.org", "https://github.com"}, host) {
				t.Errorf("%s names %s", format, host)
			}
		}
		files := 0
		for name, versions := range l.Plugins {
			for version, v := range versions {
				needs := needed(t, format, out, name, version)
				for key, f := range v.Files {
					files++
					if !slices.Contains(needs, f.SHA256) {
						t.Errorf("%s: %s %s has no %s", format, name, version, key)
					}
				}
				if other, at, ok := strings.Cut(v.Runtime, "@"); ok && !slices.Contains(needs, other+" "+at) {
					t.Errorf("%s: %s %s does not run on %s", format, name, version, v.Runtime)
				}
				if other, at, ok := strings.Cut(v.Toolchain, "@"); ok && !slices.Contains(needs, other+" "+at) {
					t.Errorf("%s: %s %s is not compiled by %s", format, name, version, v.Toolchain)
				}
			}
		}
		if files < 300 {
			t.Errorf("looked at %d files only", files)
		}
	}
}

// needed returns the SHA-256 of the files that a bill has for a plugin, and the
// names and versions of other plugins.
func needed(t *testing.T, format, text, name, version string) (list []string) {
	t.Helper()
	if format == "spdx" {
		doc, err := spdxjson.Read(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		at := map[string]int{}
		plugin := ""
		for i, pkg := range doc.Packages {
			at[string(pkg.PackageSPDXIdentifier)] = i
			if pkg.PackageName == name && pkg.PackageVersion == version && pkg.PrimaryPackagePurpose == "APPLICATION" {
				plugin = string(pkg.PackageSPDXIdentifier)
			}
		}
		for _, r := range doc.Relationships {
			other := ""
			switch {
			case r.Relationship == "DEPENDS_ON" && string(r.RefA.ElementRefID) == plugin:
				other = string(r.RefB.ElementRefID)
			case (r.Relationship == "RUNTIME_DEPENDENCY_OF" || r.Relationship == "BUILD_TOOL_OF") && string(r.RefB.ElementRefID) == plugin:
				other = string(r.RefA.ElementRefID)
			default:
				continue
			}
			pkg := doc.Packages[at[other]]
			if len(pkg.PackageChecksums) > 0 {
				list = append(list, pkg.PackageChecksums[0].Value)
			} else {
				list = append(list, pkg.PackageName+" "+pkg.PackageVersion)
			}
		}
		return list
	}
	var bom cyclonedx.BOM
	if err := json.Unmarshal([]byte(text), &bom); err != nil {
		t.Fatal(err)
	}
	for _, d := range *bom.Dependencies {
		if d.Ref != "plugin:"+name+"@"+version {
			continue
		}
		for _, c := range *bom.Components {
			switch {
			case !slices.Contains(deref(d.Dependencies), c.BOMRef):
			case c.Hashes != nil:
				list = append(list, (*c.Hashes)[0].Value)
			default:
				list = append(list, c.Name+" "+c.Version)
			}
		}
	}
	return list
}

func valid(t *testing.T, s *jsonschema.Schema, text string) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(doc); err != nil {
		t.Error(err)
	}
}

func TestCycloneDXSchema(t *testing.T) {
	t.Parallel()
	s := testenv.CycloneDX(t)
	for name, p := range map[string]*place{"own": own(t), "kinds": kinds(t)} {
		out, _ := p.ok("sbom")
		valid(t, s, out)
		if doc, _ := jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(out, `"alg": "SHA-256"`, `"alg": "SHA-257"`, 1))); s.Validate(doc) == nil {
			t.Errorf("%s: the schema takes anything", name)
		}
	}
}

// TestSPDXSchema: the library reads what we write and finds it valid. With
// BUCK2_PROTOBUF_TEST=full the official schema does too; no module of ours has
// it, so that of another tool is downloaded.
func TestSPDXSchema(t *testing.T) {
	t.Parallel()
	var s *jsonschema.Schema
	if testenv.Full() {
		cmd := exec.Command("go", "mod", "download", "-json", "github.com/anchore/syft@v1.57.1")
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
		out, err := cmd.Output()
		var module struct{ Dir string }
		if err2 := json.Unmarshal(out, &module); err != nil || err2 != nil {
			t.Fatalf("downloading the schema: %v\n%s", err, out)
		}
		const id = "http://spdx.org/rdf/terms/2.3"
		s = testenv.Schemas(t, id, map[string]string{id: filepath.Join(module.Dir, "schema", "spdx-json", "spdx-schema-2.3.json")})
	}
	for name, p := range map[string]*place{"own": own(t), "kinds": kinds(t)} {
		out, _ := p.ok("sbom", "--format", "spdx")
		doc, err := spdxjson.Read(strings.NewReader(out))
		if err != nil {
			t.Fatal(err)
		}
		if err := spdxlib.ValidateDocument(doc); err != nil {
			t.Error(err)
		}
		if doc.CreationInfo.Created != "1970-01-01T00:00:00Z" || !regexp.MustCompile(`/[0-9a-f]{64}$`).MatchString(doc.DocumentNamespace) || len(doc.Packages) < 15 {
			t.Errorf("%s: %s %s, %d packages", name, doc.CreationInfo.Created, doc.DocumentNamespace, len(doc.Packages))
		}
		ids := map[string]bool{}
		for _, pkg := range doc.Packages {
			id := string(pkg.PackageSPDXIdentifier)
			if ids[id] || !regexp.MustCompile(`^[A-Za-z0-9.-]+$`).MatchString(id) {
				t.Errorf("identifier %q", id)
			}
			ids[id] = true
		}
		if s == nil {
			continue
		}
		valid(t, s, out)
		if doc, _ := jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(out, `"DEPENDS_ON"`, `"NEEDS"`, 1))); s.Validate(doc) == nil {
			t.Error("the schema takes anything")
		}
	}
}

func TestSBOMOutput(t *testing.T) {
	t.Parallel()
	p := kinds(t)
	printed, _ := p.ok("sbom")
	out, talk := p.ok("sbom", "--output", p.path("x.json"))
	if out != "" || !strings.Contains(talk, "wrote ") || p.read("x.json") != printed {
		t.Errorf("%s%s", out, talk)
	}
	p.ok("sbom", "--format=spdx", "--output", p.path("x.json"))
	if !strings.Contains(p.read("x.json"), "SPDX-2.3") {
		t.Error("it was not replaced")
	}
	p.fails(fault.Usage, []string{"would replace"}, "sbom", "--output", p.path("plugins.lock.toml"))
	p.fails(fault.Machine, []string{"not a regular file"}, "sbom", "--output", p.dir)
	p.fails(fault.Machine, nil, "sbom", "--output", p.path("none/x.json"))
	p.fails(fault.Usage, []string{"cyclonedx, spdx"}, "sbom", "--format", "swid")
	before := p.read("plugins.lock.toml")
	p.write("plugins.lock.toml", strings.Replace(before, `name = "libc", version = "0.2.1", sha256 = "1`, `name = "libc", version = "0.2.1", sha256 = "3`, 1))
	if other, _ := p.ok("sbom"); serial(other) == serial(printed) || serial(printed) == "" {
		t.Error("another lock has the same serial number")
	}
	for value, want := range map[string]string{"0": "1970-01-01T00:00:00Z", "1700000000": "2023-11-14T22:13:20Z", "-1": "", "now": ""} {
		got, err := sourceDate(func(string) string { return value })
		if (err != nil) != (want == "") || err == nil && got.Format("2006-01-02T15:04:05Z07:00") != want {
			t.Errorf("SOURCE_DATE_EPOCH=%s: %v %v", value, got, err)
		}
	}
}

func serial(text string) string { return regexp.MustCompile(`urn:uuid:[0-9a-f-]{36}`).FindString(text) }
