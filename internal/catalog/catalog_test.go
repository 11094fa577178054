package catalog

import (
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
	for _, name := range []string{"protoc", "node", "ts-proto", "protoc-gen-ts", "protoc-gen-es"} {
		if _, ok := c.Lookup(name); !ok {
			t.Errorf("%s has no recipe", name)
		}
	}
	r, _ := c.Lookup("ts-proto")
	if r.Runtime != "node" || r.Sources[0].From.Kind != lock.NPM {
		t.Errorf("ts-proto: %+v", r)
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
			found = found || s.From.Kind == lock.Go && s.From.Name+" "+s.Main == want && (s.Binary == name || s.Binary == "bin/"+name)
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
		"ts-porto":               "did you mean ts-proto?",
		"acme-lint":              "source",
	} {
		err := c.Unknown(name)
		if fault.Of(err) != fault.Usage {
			t.Errorf("%s: class %v", name, fault.Of(err))
			continue
		}
		if all := err.Error() + fault.Mend(err); !strings.Contains(all, want) || !strings.Contains(all, name) {
			t.Errorf("%s: %q is not in %s", name, want, all)
		}
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
		"[refused.a]\nreason = \"a\"",
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
