package catalog

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

func TestBuiltin(t *testing.T) {
	c, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"protoc", "node", "ts-proto", "protoc-gen-ts", "protoc-gen-es",
		"protoc-gen-prost", "protoc-gen-tonic", "protoc-gen-prost-crate", "protoc-gen-prost-serde", "protobuf-codegen"} {
		if _, ok := c.Lookup(name); !ok {
			t.Errorf("%s has no recipe", name)
		}
	}
	r, _ := c.Lookup("ts-proto")
	if r.Runtime != "node" || r.Sources[0].Source.Kind != lock.NPM {
		t.Errorf("ts-proto: %+v", r)
	}
}

// TestPythonRecipes: each names a console script, or says what to start.
func TestPythonRecipes(t *testing.T) {
	for name, want := range map[string]string{
		"betterproto2":         "pip:betterproto2-compiler protoc-gen-python_betterproto2  ",
		"grpcio-tools":         "pip:grpcio-tools protoc-gen-grpc_python grpc_tools.protoc:main grpc_python",
		"mypy-protobuf":        "pip:mypy-protobuf protoc-gen-mypy  ",
		"protoc-gen-mypy_grpc": "pip:mypy-protobuf protoc-gen-mypy_grpc  ",
	} {
		r, ok := Builtin().Lookup(name)
		if !ok {
			t.Errorf("%s has no recipe", name)
			continue
		}
		s := r.Sources[0]
		if got := strings.Join([]string{s.Source.String(), s.Binary, s.Entry, s.Generator}, " "); got != want || r.Runtime != "" {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestGoRecipes: each names a module, and a program of the name people use.
func TestGoRecipes(t *testing.T) {
	for name, want := range map[string]string{
		"buf":                     "github.com/bufbuild/buf cmd/buf",
		"go":                      "golang.org/toolchain ",
		"protoc-gen-connect-go":   "connectrpc.com/connect cmd/protoc-gen-connect-go",
		"protoc-gen-doc":          "github.com/pseudomuto/protoc-gen-doc cmd/protoc-gen-doc",
		"protoc-gen-go":           "google.golang.org/protobuf cmd/protoc-gen-go",
		"protoc-gen-go-grpc":      "google.golang.org/grpc/cmd/protoc-gen-go-grpc ",
		"protoc-gen-grpc-gateway": "github.com/grpc-ecosystem/grpc-gateway/v2 protoc-gen-grpc-gateway",
		"protoc-gen-openapiv2":    "github.com/grpc-ecosystem/grpc-gateway/v2 protoc-gen-openapiv2",
		"protoc-gen-validate":     "github.com/envoyproxy/protoc-gen-validate ",
	} {
		r, ok := Builtin().Lookup(name)
		found := false
		for _, s := range r.Sources {
			found = found || s.Source.Kind == lock.Go && s.Source.Name+" "+s.Main == want && (s.Binary == name || s.Binary == "bin/"+name)
		}
		if !ok || !found {
			t.Errorf("%s: %+v, want %s", name, r.Sources, want)
		}
	}
}

func TestUnknown(t *testing.T) {
	c := Builtin()
	if err := c.Unknown("protoc"); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{
		"prost-build":            "protoc-gen-prost",
		"tonic-build":            "protoc-gen-tonic",
		"buf-build-connect-rs":   "no crate",
		"grpc-web-protoc-gen-ts": "protoc-gen-grpc-web",
		"connect-go":             "protoc-gen-connect-go",
		"grpc-tools":             "install script",
		"grpc-web":               "protoc-gen-grpc-web",
		"openapiv2":              "protoc-gen-openapiv2",
		"ts-porto":               "did you mean ts-proto?",
		"acme-lint":              "source",
	} {
		err := c.Unknown(name)
		if fault.Of(err) != fault.Usage {
			t.Errorf("%s: class %v", name, fault.Of(err))
			continue
		}
		if all := err.Error() + fault.Hint(err); !strings.Contains(all, want) || !strings.Contains(all, name) {
			t.Errorf("%s: %q is not in %s", name, want, all)
		}
	}
}

// TestNames: whatever people call a plugin that is asked for often is its name,
// or an error that says the name.
func TestNames(t *testing.T) {
	c := Builtin()
	for _, name := range strings.Fields(`protoc protoc-gen-go protoc-gen-go-grpc connect-go grpc-gateway openapiv2 validate ts-proto
		protoc-gen-ts protobuf-ts protoc-gen-es connect-es grpc-web prost tonic rust-protobuf buf protoc-gen-doc grpc-java node
		prost-build tonic-build buf-build-connect-rs grpc-web-protoc-gen-ts grpc-tools`) {
		if _, ok := c.Lookup(name); ok {
			continue
		}
		err := c.Unknown(name)
		if fault.Of(err) != fault.Usage || !strings.Contains(fault.Hint(err), "use ") && !strings.Contains(fault.Hint(err), "write "+c.called[name]) || strings.Contains(err.Error(), "unknown") {
			t.Errorf("%s: %v; %s", name, err, fault.Hint(err))
		}
	}
	for _, source := range []string{"npm:grpc-tools", "npm:grpc-web", "npm:protoc-gen-grpc-web", "cargo:prost-build", "cargo:tonic-build"} {
		if err := c.Refused(source); fault.Of(err) != fault.Usage || !strings.HasPrefix(fault.Hint(err), "use ") {
			t.Errorf("%s: %v", source, err)
		}
	}
	if err := c.Refused("npm:ts-proto"); err != nil {
		t.Error(err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"x = 1",
		"[plugins.a]\nabout = \"a\"",
		"[plugins.a]\nabout = \"a\"\nsources = [{ from = \"npm:a\" }]",
		"[plugins.a]\nabout = \"a\"\nruntime = \"b\"\nsources = [{ from = \"npm:a\", binary = \"a\" }]",
		"[plugins.a]\nabout = \"a\"\nsources = [{ from = \"ftp:a\", binary = \"a\" }]",
		"[plugins.a]\nabout = \"a\"\nsources = [{ from = \"npm:a\", package = \"b\", binary = \"a\" }]",
		"[plugins.a]\nabout = \"a\"\nsources = [{ from = \"cargo:a\", binary = \"a\", until = \"2\" }]",
		"[refused.a]\nreason = \"a\"",
		"[refused.\"ftp:a\"]\nreason = \"a\"\nuse = \"b\"",
		"[called]\na = \"b\"",
		"[plugins.a]\nabout = \"a\"\nsources = [{ from = \"npm:a\", binary = \"a\" }]\n[called]\na = \"a\"",
		"[plugins.a]\nabout = \"a\"\nfits = [{ plugin = \"b\", versions = \"1\", hint = \"c\" }]\nsources = [{ from = \"npm:a\", binary = \"a\" }]",
		"[plugins.a]\nabout = \"a\"\nsources = [{ from = \"maven:a:b\", binary = \"a\", checksums = \"c\" }]",
	} {
		if _, err := parse(text); err == nil {
			t.Errorf("accepted %s", text)
		}
	}
}

func TestNAPI(t *testing.T) {
	want := map[string]string{
		"linux-aarch64": "linux-arm64-gnu", "linux-x86_64": "linux-x64-gnu",
		"macos-aarch64": "darwin-arm64", "macos-x86_64": "darwin-x64",
		"windows-aarch64": "win32-arm64-msvc", "windows-x86_64": "win32-x64-msvc",
	}
	for _, p := range lock.Platforms {
		if got := NAPI(p); got != want[p.Name] {
			t.Errorf("%s: %s, want %s", p.Name, got, want[p.Name])
		}
	}
}

// TestReleases compares what the recipes expand to with names of real assets,
// which independent repositories use.
func TestReleases(t *testing.T) {
	const base = "https://github.com/"
	want := map[string]map[string]string{
		"protoc@30.2": {
			"linux-x86_64":   base + "protocolbuffers/protobuf/releases/download/v30.2/protoc-30.2-linux-x86_64.zip",
			"linux-aarch64":  base + "protocolbuffers/protobuf/releases/download/v30.2/protoc-30.2-linux-aarch_64.zip",
			"macos-x86_64":   base + "protocolbuffers/protobuf/releases/download/v30.2/protoc-30.2-osx-x86_64.zip",
			"macos-aarch64":  base + "protocolbuffers/protobuf/releases/download/v30.2/protoc-30.2-osx-aarch_64.zip",
			"windows-x86_64": base + "protocolbuffers/protobuf/releases/download/v30.2/protoc-30.2-win64.zip",
		},
		"protoc-gen-grpc-web@1.5.0": {
			"linux-x86_64":   base + "grpc/grpc-web/releases/download/1.5.0/protoc-gen-grpc-web-1.5.0-linux-x86_64",
			"macos-aarch64":  base + "grpc/grpc-web/releases/download/1.5.0/protoc-gen-grpc-web-1.5.0-darwin-aarch64",
			"windows-x86_64": base + "grpc/grpc-web/releases/download/1.5.0/protoc-gen-grpc-web-1.5.0-windows-x86_64.exe",
		},
		"protoc-gen-validate@1.2.1": {
			"linux-x86_64":  base + "bufbuild/protoc-gen-validate/releases/download/v1.2.1/protoc-gen-validate_1.2.1_linux_amd64.tar.gz",
			"macos-aarch64": base + "bufbuild/protoc-gen-validate/releases/download/v1.2.1/protoc-gen-validate_1.2.1_darwin_arm64.tar.gz",
			"checksums":     base + "bufbuild/protoc-gen-validate/releases/download/v1.2.1/protoc-gen-validate_1.2.1_checksums.txt",
		},
		"protoc-gen-doc@1.5.1": {
			"linux-aarch64": base + "pseudomuto/protoc-gen-doc/releases/download/v1.5.1/protoc-gen-doc_1.5.1_linux_arm64.tar.gz",
			"checksums":     base + "pseudomuto/protoc-gen-doc/releases/download/v1.5.1/checksums.txt",
		},
		"fetch@0.1.0": {
			"linux-x86_64":    base + "birbparty/buck2-protobuf/releases/download/v0.1.0/fetch-0.1.0-linux-x86_64",
			"macos-aarch64":   base + "birbparty/buck2-protobuf/releases/download/v0.1.0/fetch-0.1.0-macos-aarch64",
			"windows-aarch64": base + "birbparty/buck2-protobuf/releases/download/v0.1.0/fetch-0.1.0-windows-aarch64.exe",
			"checksums":       base + "birbparty/buck2-protobuf/releases/download/v0.1.0/SHA256SUMS",
		},
		"protoc-gen-connect-swift@0.12.0": {
			"macos-aarch64": base + "connectrpc/connect-swift/releases/download/0.12.0/protoc-gen-connect-swift.tar.gz",
		},
		"protoc-gen-connect-swift-mocks@0.12.0": {
			"macos-aarch64": base + "connectrpc/connect-swift/releases/download/0.12.0/protoc-gen-connect-swift-mocks.tar.gz",
		},
		"protoc-gen-grpc-swift@1.23.0": {
			"linux-x86_64":  base + "grpc/grpc-swift/releases/download/1.23.0/protoc-grpc-swift-plugins-linux-x86_64-1.23.0.zip",
			"macos-aarch64": base + "grpc/grpc-swift/releases/download/1.23.0/protoc-grpc-swift-plugins-1.23.0.zip",
		},
		"protoc-gen-swift@1.24.2": {
			"linux-x86_64": base + "grpc/grpc-swift/releases/download/1.24.2/protoc-grpc-swift-plugins-linux-x86_64-1.24.2.zip",
			"macos-x86_64": base + "grpc/grpc-swift/releases/download/1.24.2/protoc-grpc-swift-plugins-1.24.2.zip",
		},
		"protoc-gen-js@4.0.2": {
			"linux-aarch64":  base + "protocolbuffers/protobuf-javascript/releases/download/v4.0.2/protobuf-javascript-4.0.2-linux-aarch_64.zip",
			"macos-x86_64":   base + "protocolbuffers/protobuf-javascript/releases/download/v4.0.2/protobuf-javascript-4.0.2-osx-x86_64.zip",
			"windows-x86_64": base + "protocolbuffers/protobuf-javascript/releases/download/v4.0.2/protobuf-javascript-4.0.2-win64.zip",
		},
		"python@3.13.1+20250107": {
			"linux-aarch64":  base + "astral-sh/python-build-standalone/releases/download/20250107/cpython-3.13.1+20250107-aarch64-unknown-linux-gnu-install_only_stripped.tar.gz",
			"macos-aarch64":  base + "astral-sh/python-build-standalone/releases/download/20250107/cpython-3.13.1+20250107-aarch64-apple-darwin-install_only_stripped.tar.gz",
			"windows-x86_64": base + "astral-sh/python-build-standalone/releases/download/20250107/cpython-3.13.1+20250107-x86_64-pc-windows-msvc-install_only_stripped.tar.gz",
		},
		"protoc-gen-php-grpc@2025.1.1": {
			"linux-x86_64":   base + "roadrunner-server/roadrunner/releases/download/v2025.1.1/protoc-gen-php-grpc-2025.1.1-linux-amd64.tar.gz",
			"windows-x86_64": base + "roadrunner-server/roadrunner/releases/download/v2025.1.1/protoc-gen-php-grpc-2025.1.1-windows-amd64.zip",
		},
		"protoc-gen-connect-openapi@0.18.0": {
			"linux-x86_64":   base + "sudorandom/protoc-gen-connect-openapi/releases/download/v0.18.0/protoc-gen-connect-openapi_0.18.0_linux_amd64.tar.gz",
			"macos-aarch64":  base + "sudorandom/protoc-gen-connect-openapi/releases/download/v0.18.0/protoc-gen-connect-openapi_0.18.0_darwin_all.tar.gz",
			"windows-x86_64": base + "sudorandom/protoc-gen-connect-openapi/releases/download/v0.18.0/protoc-gen-connect-openapi_0.18.0_windows_amd64.tar.gz",
			"checksums":      base + "sudorandom/protoc-gen-connect-openapi/releases/download/v0.18.0/checksums.txt",
		},
	}
	seen := 0
	for _, name := range Builtin().Names() {
		r, _ := Builtin().Lookup(name)
		for _, s := range r.Sources {
			if _, _, ok := s.Source.GitHub(); !ok {
				continue
			}
			seen++
			found := false
			for spec, addresses := range want {
				plugin, version, _ := strings.Cut(spec, "@")
				if plugin != name {
					continue
				}
				found = true
				for p, address := range addresses {
					if p == "checksums" {
						platform := lock.Platforms[0]
						if got := s.Naming.ChecksumsURL(s.Naming.URL(s.Source, "", version, platform), version, platform); got != address {
							t.Errorf("%s: checksums at %s, expected %s", name, got, address)
						}
						continue
					}
					platform, ok := lock.LookupPlatform(p)
					if got := s.Naming.URL(s.Source, s.Assets[p], version, platform); !ok || got != address {
						t.Errorf("%s for %s: %s, expected %s", name, p, got, address)
					}
				}
			}
			if !found {
				t.Errorf("%s has no row here", name)
			}
		}
	}
	if seen != len(want) {
		t.Errorf("%d recipes by URL, %d rows", seen, len(want))
	}
}

// TestRules: a recipe names a rule that there is, and an attribute by which that
// rule knows the plugin.
func TestRules(t *testing.T) {
	t.Parallel()
	n := 0
	for _, name := range Builtin().Names() {
		r, _ := Builtin().Lookup(name)
		if r.Rule == "" {
			continue
		}
		n++
		data, err := os.ReadFile(filepath.Join("..", "..", "rules", r.Rule+".bzl"))
		if err != nil {
			t.Error(err)
			continue
		}
		attr, _, _ := strings.Cut(r.Attr, " = ")
		want := []string{r.Rule + "_proto_library", strconv.Quote(name)}
		if r.Attr == "plugin = "+strconv.Quote(name) && strings.Contains(string(data), "`"+name+"`") {
			want = want[:1] // one of which the rule knows no more than the name
		}
		if attr != "" && attr != "plugin" {
			want = append(want, strconv.Quote(attr)+": ")
		} else if attr == "" {
			want = append(want, "    plugin = "+strconv.Quote(name)+",\n")
		}
		for _, part := range want {
			if !strings.Contains(string(data), part) {
				t.Errorf("%s: rules/%s.bzl does not say %s", name, r.Rule, part)
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d recipes name a rule", n)
	}
}

// TestRemote: a plugin of Buf's registry is one of the catalogue's, and no two
// plugins claim the same one.
func TestRemote(t *testing.T) {
	claimed := map[string]string{}
	for _, name := range Builtin().Names() {
		r, _ := Builtin().Lookup(name)
		for remote := range r.BSR {
			if other := claimed[remote]; other != "" {
				t.Errorf("%s is %s and %s", remote, other, name)
			}
			claimed[remote] = name
			if got := Builtin().Remote(remote); got != name {
				t.Errorf("%s: %s, want %s", remote, got, name)
			}
		}
	}
	for remote, want := range map[string]string{
		"protocolbuffers/go": "protoc-gen-go", "grpc/python": "grpcio-tools", "community/stephenh-ts-proto": "ts-proto",
		"protocolbuffers/ruby": "protoc", "protocolbuffers/dart": "", "go": "",
	} {
		if got := Builtin().Remote(remote); got != want {
			t.Errorf("%s: %q, want %q", remote, got, want)
		}
	}
	for file, want := range map[string]string{
		"protoc-gen-ts_proto": "ts-proto", "protoc-gen-ts": "protoc-gen-ts", "protoc": "protoc", "protoc-gen-grpc_python": "grpcio-tools", "protoc-gen-x": "",
	} {
		if got := Builtin().Program(file); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}
