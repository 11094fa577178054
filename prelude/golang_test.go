package prelude_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// TestGoPlugin locks a Go plugin with lockgen and lets Buck2 fetch it, for this
// machine and for executors of another cpu: each is what lockgen compiled.
func TestGoPlugin(t *testing.T) {
	bucktest.Need(t)
	host, ok := lock.Host()
	if !ok {
		t.Skip("skipped: the lock has no name for this machine")
	}
	tool, err := gotool.Find(t.Context())
	if err != nil {
		t.Skip("skipped:", err)
	}
	version, err := tool.Version(t.Context())
	if err != nil || manifest.CheckExact(version) != nil {
		t.Skipf("skipped: Go %s of this machine cannot stand in for a locked one (%v)", version, err)
	}
	foreign := foreignTo(host)
	proxy := fake.New(t)
	proxy.Module(fake.Module{Path: "example.com/gen", Version: "v1.0.0", Files: map[string]string{"main.go": "package main\n\nfunc main() { println(\"gen\") }\n"}})
	// Go itself is there for the other machine alone: ours of the same version
	// compiles to the same bytes.
	elf := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 57)...)
	elf[18] = elfMachine[foreign.Arch]
	proxy.Module(fake.Module{
		Path: lock.GoToolchain, Version: fmt.Sprintf("v0.0.1-go%s.%s-%s", version, foreign.GOOS, foreign.GOARCH),
		Mod: "module golang.org/toolchain\n", Files: map[string]string{"bin/go": string(elf)},
	})
	dir, cache := t.TempDir(), t.TempDir()
	bucktest.Write(t, dir, map[string]string{"plugins.toml": fmt.Sprintf(`platforms = [%q, %q]

[plugins]
go = { version = %q, optional = true }

[plugins.protoc-gen-gen]
version = "1.0.0"
source = "go:example.com/gen"
binary = "protoc-gen-gen"

[registries]
go = %q
`, host.Name, foreign.Name, version, proxy.GoProxy())})
	lockgen := filepath.Join(t.TempDir(), "lockgen")
	if text, err := exec.Command("go", "build", "-o", lockgen, "../lockgen").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	update := exec.Command(lockgen, "update")
	update.Dir = dir
	update.Env = append(os.Environ(), store.EnvDir+"="+filepath.Join(t.TempDir(), "cache"), "GOENV=off", "GOPRIVATE=", "GONOSUMDB=", "GOSUMDB="+proxy.SumDB())
	if text, err := update.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	locked, err := os.ReadFile(filepath.Join(dir, lock.FileName))
	if err != nil {
		t.Fatal(err)
	}
	proxy.Forget()

	files := executors(host, foreign)
	files[".buckconfig"] += "[buck2_protobuf]\ncache_dir = " + cache + "\n"
	files["plugins/plugins.lock.toml"] = string(locked)
	files["plugins/BUCK"] = `
load("@buck2-protobuf//rules:proto.bzl", "protobuf_plugins")
load("@root//plugins:plugins.lock.toml", lock = "value")

protobuf_plugins(lock = lock, registries = {"go": "` + proxy.GoProxy() + `"})
`
	p := scratch(t, "", files)
	p.Must("build", "//plugins/...")
	if n := proxy.Count(""); n > 0 {
		t.Errorf("%d requests for what nobody builds", n)
	}
	for _, platform := range []lock.Platform{host, foreign} {
		machine := map[bool]string{true: "prelude//platforms:default", false: "root//platforms:both"}[platform.Name == host.Name]
		folder := p.Build("//plugins:protoc-gen-gen[1.0.0]", "--target-platforms", machine)[0]
		data, err := os.ReadFile(filepath.Join(folder, "protoc-gen-gen"))
		if err != nil {
			t.Fatal(err)
		}
		if platform.OS == "linux" && (!bytes.HasPrefix(data, []byte("\x7fELF")) || data[18] != elfMachine[platform.Arch]) {
			t.Errorf("protoc-gen-gen for %s begins with %x", platform.Name, data[:20])
		}
	}
	for _, r := range proxy.Requests("") {
		if !slices.Contains([]string{"/go/example.com/gen/@v/v1.0.0.zip"}, r.Path) {
			t.Errorf("asked for %s", r.Path)
		}
	}
	if got := p.Fails("build", "//plugins:protoc-gen-gen[1.0.0]", "--target-platforms", "prelude//platforms:default", "-c", "buck2_protobuf.disable_package_managers=true", "-c", "buck2_protobuf.cache_dir="+t.TempDir()); !strings.Contains(got, "package managers are disabled") || !strings.Contains(got, "lockgen mirror --trees") {
		t.Errorf("without package managers:\n%s", got)
	}
}
