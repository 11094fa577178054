package prelude_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/kind"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestCargoPlugin: Buck2 has a plugin compiled from the locked crates on this
// machine, by the locked Rust, and runs it; one of its crates runs code then, if the
// lock says that somebody consented.
func TestCargoPlugin(t *testing.T) {
	testenv.Real(t, "needs protoc from its registry")
	host, ok := lock.Host()
	if !ok {
		t.Skip("the lock has no name for this machine")
	}
	cargo, err := cargo.Find(t.Context())
	if err != nil {
		t.Skipf("no cargo that works: %v", err)
	}
	if _, err := cargo.Identity(t.Context(), host); err != nil {
		t.Skip(err)
	}
	if host.OS == "windows" {
		t.Skip("the Rust of this test is a script of sh")
	}
	testenv.Program(t, "cc") // the linker
	t.Setenv("CARGO_HOME", t.TempDir())
	s := fake.New(t)
	version := func(scripts ...string) *lock.Version {
		v := &lock.Version{
			Source: lock.Cargo, Package: "protoc-gen-crab", Trust: "registry", BuildScripts: scripts,
			Files: map[string]lock.File{}, Platforms: map[string]lock.Cell{},
		}
		for _, c := range []fake.Crate{
			{Name: "protoc-gen-crab", Version: "1.0.0", Deps: []fake.CrateDep{{Name: "leaf", Req: "^1"}}, Files: map[string]string{"src/main.rs": crabMain}},
			{Name: "leaf", Version: "1.0.0", Files: map[string]string{
				"build.rs":   "fn main() { println!(\"cargo:rustc-env=TEXT=// by a build script\"); }\n",
				"src/lib.rs": "pub const TEXT: &str = concat!(env!(\"TEXT\"), \"\\n\");\n",
			}},
		} {
			a := s.Crate(c)
			v.Files[a.Name] = lock.File{Name: c.Name, Version: c.Version, SHA256: a.SHA256, Size: a.Size}
		}
		for _, p := range lock.Platforms {
			v.Platforms[p.Name] = lock.Cell{Binary: "bin/protoc-gen-crab" + p.Exe()}
		}
		return v
	}
	asked, used := version("leaf-1.0.0"), filepath.Join(t.TempDir(), "used")
	asked.Toolchain = "rust@1.99.0"
	_, tables, _ := strings.Cut(string(lock.Print(&lock.Lock{Schema: lock.Schema, Plugins: map[string]map[string]*lock.Version{
		"asked": {"1.0.0": asked}, "unasked": {"1.0.0": version()}, "rust": {"1.99.0": lockedRust(t, s, host, used)},
	}})), "\n\n")
	p := scratch(t, "\n"+tables, map[string]string{
		".buckconfig":     scratchConfig + "[buck2_protobuf]\ncache_dir = " + t.TempDir() + "\n",
		"toolchains/BUCK": strings.Replace(scratchToolchain, "(lock = lock", "(lock = lock, registries = {\"cargo\": \""+s.CrateIndex()+"\"}", 1),
		"api/a.proto":     scratchProto,
		"api/BUCK": `
load("@buck2-protobuf//rules:proto.bzl", "proto_codegen")

proto_codegen(name = "asked", srcs = ["a.proto"], plugin = "asked", files = ["crab.ts"])
proto_codegen(name = "unasked", srcs = ["a.proto"], plugin = "unasked")
`,
	})
	expect(t, p.Fails("build", "//api:unasked"), "toolchains//:unasked", "unasked 1.0.0", "runs code of crate leaf-1.0.0", "Hint: ", "build-scripts")
	expectFile(t, p.Build("//api:asked[crab.ts]")[0], "// by a build script\n")
	if ran, err := os.ReadFile(used); err != nil || !strings.Contains(string(ran), "cargo install ") || !strings.Contains(string(ran), "rustc --crate-name leaf ") {
		t.Errorf("the locked Rust ran %q (%v)", ran, err)
	}
	if _, err := exec.Command(filepath.Join(p.Build("toolchains//:asked[1.0.0]")[0], "bin", "protoc-gen-crab"+host.Exe())).Output(); err != nil {
		t.Errorf("the plugin by itself: %v", err)
	}
	expect(t, p.Fails("build", "//api:asked", "-c", "buck2_protobuf.disable_package_managers=true", "-c", "buck2_protobuf.cache_dir="+t.TempDir()),
		"asked 1.0.0", "package managers are disabled", "lockgen mirror --trees")
}

// lockedRust publishes and locks a Rust, of scripts that run that of the machine, and
// write down how in the file used.
func lockedRust(t *testing.T, s *fake.Server, host lock.Platform, used string) *lock.Version {
	t.Helper()
	sysroot, err := exec.Command("rustc", "--print", "sysroot").Output()
	if err != nil {
		t.Fatal(err)
	}
	programs := map[string]string{}
	for _, name := range []string{"cargo", "rustc"} {
		path := filepath.Join(strings.TrimSpace(string(sysroot)), "bin", name)
		programs[name] = "#!/bin/sh\necho \"" + name + " $*\" >>'" + used + "'\nexec '" + path + "' \"$@\"\n"
	}
	body := fake.RustArchive("1.99.0", host.RustTarget, programs)
	file := "rust-1.99.0-" + host.RustTarget + ".tar.xz"
	v := &lock.Version{Source: lock.HTTP, Trust: "checksum-file", Platforms: map[string]lock.Cell{}, Files: map[string]lock.File{
		file: {URL: s.File("/"+file, body), Archive: "rust.tar.xz", SHA256: fmt.Sprintf("%x", sha256.Sum256(body)), Size: int64(len(body)), Platforms: []string{host.Name}},
	}}
	for _, p := range lock.Platforms {
		v.Platforms[p.Name] = lock.Cell{Unavailable: "not of this test"}
	}
	v.Platforms[host.Name] = lock.Cell{Binary: "bin/rustc", Tree: strings.Repeat("0", 63) + "1"}
	packed, err := os.CreateTemp(t.TempDir(), "rust")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	if _, err := packed.Write(body); err != nil {
		t.Fatal(err)
	}
	files, err := kind.Unpack(t.Context(), packed, "", v, file, host.Name)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := archive.TreeHash(files)
	if err != nil {
		t.Fatal(err)
	}
	v.Platforms[host.Name] = lock.Cell{Binary: "bin/rustc", Tree: tree}
	return v
}

const crabMain = `use std::io::{Read, Write};

fn main() {
    let mut request = Vec::new();
    std::io::stdin().read_to_end(&mut request).unwrap();
    let text = leaf::TEXT.as_bytes();
    let file = [&b"\x0a\x07crab.ts\x7a"[..], &[text.len() as u8], text].concat();
    std::io::stdout().write_all(&[&b"\x7a"[..], &[file.len() as u8], &file].concat()).unwrap();
}
`
