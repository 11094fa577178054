package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// publishRust has the server stand in for where Rust publishes its versions, and
// for GitHub, which lists them. Here says what bin has for a platform.
func (p *place) publishRust(platforms []string, here func(p lock.Platform, version string) map[string]string, versions ...string) {
	p.t.Helper()
	var list []map[string]any
	for _, version := range versions {
		list = append(list, map[string]any{"id": len(list) + 1, "tag_name": version, "published_at": fake.Released})
		for _, name := range platforms {
			platform, _ := lock.LookupPlatform(name)
			file := "rust-" + version + "-" + platform.RustTarget + ".tar.xz"
			body := fake.RustArchive(version, platform.RustTarget, here(platform, version))
			p.server.File("/rust/dist/"+file, body)
			p.server.File("/rust/dist/"+file+".sha256", fmt.Appendf(nil, "%s  %s\n", hexSum(body), file))
		}
	}
	p.json("/api/repos/rust-lang/rust/releases", list)
}

// rustMirror makes that server the one that is asked.
func (p *place) rustMirror() string {
	return "\n[[mirror]]\nfrom = \"https://static.rust-lang.org/\"\nto = \"" + p.server.URL + "/rust/\"\n\n[[mirror]]\nfrom = \"https://api.github.com/\"\nto = \"" + p.server.URL + "/api/\"\n"
}

// TestRust locks Rust itself, from archives of which some parts make a sysroot.
func TestRust(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	native := func(p lock.Platform, _ string) map[string]string {
		if p.OS == "windows" {
			return map[string]string{"rustc.exe": winX64, "cargo.exe": winX64}
		}
		return map[string]string{"rustc": linuxARM, "cargo": linuxARM}
	}
	platforms := []string{"linux-aarch64", "windows-x86_64"}
	p.publishRust(platforms, native, "1.94.0", "1.95.0")
	p.write("plugins.toml", "platforms = [\"linux-aarch64\", \"windows-x86_64\"]\n\n[plugins]\n"+p.rustMirror())
	p.ok("add", "rust@1.94.0")
	v := p.locked().Plugins["rust"]["1.94.0"]
	if v == nil || v.Source != lock.HTTP || v.Trust != "checksum-file" || len(v.Files) != 2 || v.Platforms["windows-x86_64"].Binary != "bin/rustc.exe" || v.Platforms["linux-aarch64"].Binary != "bin/rustc" ||
		v.Platforms["windows-aarch64"].Emulate != "windows-x86_64" {
		t.Fatalf("locked %+v", v)
	}
	f := v.Files["rust-1.94.0-aarch64-unknown-linux-gnu.tar.xz"]
	if f.Archive != "rust.tar.xz" || f.URL != "https://static.rust-lang.org/dist/rust-1.94.0-aarch64-unknown-linux-gnu.tar.xz" || f.Size == 0 || !slices.Equal(f.Platforms, []string{"linux-aarch64"}) {
		t.Errorf("file %+v", f)
	}
	if out, _ := p.ok("outdated", "--json"); !strings.Contains(out, `"latest": "1.95.0"`) {
		t.Error(out)
	}
	p.ok("update", "rust@1.95.0")
	p.ok("check")
	first := p.read("plugins.lock.toml")
	p.ok("update", "--all", "--verify")
	if p.read("plugins.lock.toml") != first {
		t.Error("locking again gives other bytes")
	}
	rustc, err := p.installed("rust", "1.95.0", "linux-aarch64")
	if err != nil {
		t.Fatal(err)
	}
	tree := filepath.Dir(filepath.Dir(rustc))
	var files []string
	err = fs.WalkDir(os.DirFS(tree), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"bin/cargo", "bin/rustc", "lib/librustc_driver-1.so", "lib/rustlib/aarch64-unknown-linux-gnu/lib/libstd-1.rlib"}; !slices.Equal(files, want) {
		t.Errorf("the sysroot has %q, want %q", files, want)
	}
	p.ok("remove", "rust")
	if l := p.locked(); len(l.Plugins) > 0 {
		t.Errorf("left %v", l.Plugins)
	}
	p.fails(fault.Upstream, []string{"has no version 1.93.0", "run: lockgen add rust@1.95.0"}, "add", "rust@1.93.0")
	if out, _ := p.ok("search", "rust"); !strings.Contains(out, "rust ") {
		t.Error(out)
	}
}

// TestRustCompiles: a plugin of cargo is compiled by the locked Rust, and locked again
// with another one. The locked one is a script that runs that of the machine.
func TestRustCompiles(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts cargo many times; Buck2 compiles with a locked Rust in TestCargoPlugin of prelude")
	p, _ := newCargoPlace(t)
	host := fake.Host(t)
	if host.OS == "windows" {
		t.Skip("the Rust of this test is a script of sh")
	}
	sysroot, err := exec.Command("rustc", "--print", "sysroot").Output()
	if err != nil {
		t.Fatal(err)
	}
	used := filepath.Join(t.TempDir(), "used")
	p.publishRust([]string{host.Name}, func(_ lock.Platform, version string) map[string]string {
		run := func(program string) string {
			return "#!/bin/sh\necho " + program + " " + version + " >>'" + used + "'\nexec '" + filepath.Join(strings.TrimSpace(string(sysroot)), "bin", program) + "' \"$@\"\n"
		}
		return map[string]string{"rustc": run("rustc"), "cargo": run("cargo")}
	}, "1.77.2", "1.80.0", "1.81.0", "1.99.0")
	p.server.Crate(fake.Crate{Name: "leaf", Version: "1.0.0", Files: map[string]string{"Cargo.toml": "[package]\nname = \"leaf\"\nversion = \"1.0.0\"\nrust-version = \"1.81\"\n"}})
	p.server.Crate(fake.Crate{Name: "protoc-gen-acme", Version: "1.0.0", Deps: []fake.CrateDep{{Name: "leaf", Req: "^1"}}, Files: map[string]string{
		"src/main.rs": "fn main() { let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink()); }\n"}})
	write := func(rust string) {
		p.write("plugins.toml", "platforms = [\""+host.Name+"\"]\n\n[registries]\ncargo = \""+p.server.CrateIndex()+"\"\n\n[plugins]\n"+rust+acme+p.rustMirror())
	}
	compiled := func(version string, anew bool) {
		t.Helper()
		said, err := os.ReadFile(used)
		_ = os.Remove(used)
		if anew != strings.Contains(string(said), "cargo "+version+"\nrustc "+version) || strings.Count(string(said), version+"\n") != strings.Count(string(said), "\n") {
			t.Errorf("ran %q (%v), want %q", said, err, version)
		}
		toolchain := ""
		if version != "" {
			toolchain = "rust@" + version
		}
		if v := p.locked().Plugins["acme"]["1.0.0"]; v.Toolchain != toolchain {
			t.Errorf("locked %+v", v)
		}
		p.ok("check")
	}
	// Too old: for a crate, and for what fetch needs of cargo.
	write("rust = \"1.80.0\"\n")
	p.fails(fault.Usage, []string{"acme 1.0.0 is compiled by rust 1.80.0, but crate leaf-1.0.0 needs Rust 1.81.0 or later", "run: lockgen update rust@1.81.0"}, "update")
	write("rust = \"1.77.2\"\n")
	p.fails(fault.Usage, []string{"but crate leaf-1.0.0 needs Rust 1.81.0"}, "update")
	p.ok("update", "rust@1.81.0")
	_ = os.Remove(used)
	p.ok("update")
	compiled("1.81.0", true)
	if out, _ := p.ok("why", "rust"); !strings.Contains(out, "compiles the plugin") {
		t.Error(out)
	}
	if out, _ := p.ok("tree", "acme"); !strings.Contains(out, "rust 1.81.0") || strings.Contains(out, "from the machine") {
		t.Error(out)
	}
	write("rust = \"latest\"\n")
	p.ok("update", "rust")
	compiled("1.99.0", true)
	first := p.read("plugins.lock.toml")
	p.ok("update", "--all")
	if p.read("plugins.lock.toml") != first {
		t.Error("locking again gives other bytes")
	}
	_ = os.Remove(used)
	// Without it, that of the machine compiles again.
	p.ok("remove", "rust")
	compiled("", false)
	p.ok("add", "rust@1.81.0")
	compiled("1.81.0", false) // that one is in the cache
	if out, _ := p.ok("explain", "acme"); !strings.Contains(out, "compiled by: rust@1.81.0\n") {
		t.Error(out)
	}
	p.ok("remove", "acme")
	if l := p.locked(); len(l.Plugins) > 0 {
		t.Errorf("left %v", l.Plugins)
	}
}

// TestRustReal locks the Rust of this machine, packed as Rust publishes it, with a
// plugin that has a build script and a procedural macro. fetch compiles that with no
// Rust on PATH, in two folders for two users.
func TestRustReal(t *testing.T) {
	testenv.OnlyFull(t, "it packs and unpacks 600 MB")
	p, _ := newCargoPlace(t)
	host := fake.Host(t)
	rustc, packer := testenv.Program(t, "rustc"), testenv.Program(t, "xz")
	said, err := exec.Command(rustc, "--print", "sysroot").Output()
	if err != nil {
		t.Fatal(err)
	}
	sysroot := strings.TrimSpace(string(said))
	if said, err = exec.Command(rustc, "--version").Output(); err != nil {
		t.Fatal(err)
	}
	version := strings.Fields(string(said))[1]
	for _, program := range []string{"cargo", "rustc"} { // fetch below has these folders
		for _, dir := range []string{"/usr/bin", "/bin"} {
			if _, err := os.Stat(filepath.Join(dir, program)); err == nil {
				t.Skipf("%s has a %s", dir, program)
			}
		}
	}
	file := "rust-" + version + "-" + host.RustTarget + ".tar.xz"
	body := packSysroot(t, packer, sysroot, strings.TrimSuffix(file, ".tar.xz"), host.RustTarget)
	t.Logf("%s has %d bytes", file, len(body))
	p.server.File("/rust/dist/"+file, body)
	p.server.File("/rust/dist/"+file+".sha256", fmt.Appendf(nil, "%s  %s\n", hexSum(body), file))
	p.json("/api/repos/rust-lang/rust/releases", []map[string]any{{"id": 1, "tag_name": version, "published_at": fake.Released}})
	p.server.Crate(fake.Crate{Name: "derive", Version: "1.0.0", Extra: "\n[lib]\nproc-macro = true\n", Files: map[string]string{
		"src/lib.rs": "use proc_macro::TokenStream;\n#[proc_macro]\npub fn answer(_: TokenStream) -> TokenStream { \"42\".parse().unwrap() }\n"}})
	p.server.Crate(fake.Crate{Name: "protoc-gen-acme", Version: "1.0.0", Deps: []fake.CrateDep{{Name: "derive", Req: "^1"}}, Files: map[string]string{
		"build.rs":    "fn main() { println!(\"cargo:rustc-env=BUILT=by a script\"); }\n",
		"src/main.rs": "fn main() { if std::env::args().count() > 1 { println!(\"{} {}\", derive::answer!(), env!(\"BUILT\")); } else { let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink()); } }\n"}})
	p.write("plugins.toml", "platforms = [\""+host.Name+"\"]\n\n[registries]\ncargo = \""+p.server.CrateIndex()+"\"\n\n[plugins]\nrust = \"latest\"\n"+acme+
		"\n[policy]\nbuild-scripts = [\"acme\"]\n"+p.rustMirror())
	if _, talk := p.ok("update", "-v"); !strings.Contains(talk, "testing acme 1.0.0") {
		t.Error(talk)
	}
	if v := p.locked().Plugins["acme"]["1.0.0"]; v.Toolchain != "rust@"+version {
		t.Errorf("locked %+v", v)
	}
	var programs [2][]byte
	for i := range programs {
		home, cache := t.TempDir(), filepath.Join(t.TempDir(), strings.Repeat("deep/", i)+"cache")
		fetch := func(args ...string) string {
			t.Helper()
			cmd := exec.Command(fetchProgram(t), args...)
			cmd.Dir = p.dir
			cmd.Env = []string{"HOME=" + home, "PATH=/usr/bin:/bin", "BUCK2_PROTOBUF_CACHE_DIR=" + cache, "USER=user" + fmt.Sprint(i)}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("fetch %v: %v\n%s", args, err, &stderr)
			}
			return strings.TrimSpace(string(out))
		}
		program := fetch("get", "acme")
		if out, err := exec.Command(program, "say").Output(); err != nil || string(out) != "42 by a script\n" {
			t.Errorf("it said %q (%v)", out, err)
		}
		if programs[i], err = os.ReadFile(program); err != nil {
			t.Fatal(err)
		}
		if out := fetch("run", "rust", "--", "--version"); out != strings.TrimSpace(string(said)) {
			t.Errorf("rust is %q, want %q", out, said)
		}
		if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
			t.Errorf("left in the home: %v (%v)", left, err)
		}
		// What was compiled is found without the toolchain, and by nobody else's.
		p.server.Forget()
		if again := fetch("get", "--offline", "acme"); again != program || p.server.Count("") > 0 {
			t.Errorf("%s, then %s", program, again)
		}
	}
	if !bytes.Equal(programs[0], programs[1]) {
		t.Errorf("two folders, two programs: of %d and %d bytes", len(programs[0]), len(programs[1]))
	}
}

// packSysroot packs an installed Rust as it is published: a component has what the
// list of its files in the sysroot names.
func packSysroot(t *testing.T, packer, sysroot, top, target string) []byte {
	t.Helper()
	cmd := exec.Command(packer, "-0", "-T2", "-c")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(in)
	add := func(name string, mode int64, data []byte) {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: top + "/" + name, Mode: mode, Size: int64(len(data)), ModTime: time.Unix(0, 0)}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	add("install.sh", 0o755, []byte("#!/bin/bash\n"))
	add("rust-docs/share/doc/rust/html/index.html", 0o644, []byte("not unpacked"))
	for _, component := range []string{"rustc", "cargo", "rust-std"} {
		folder := strings.Replace(component, "std", "std-"+target, 1)
		list, err := os.ReadFile(filepath.Join(sysroot, "lib", "rustlib", "manifest-"+component+"-"+target))
		if err != nil {
			t.Skipf("this Rust was not installed by rustup: %v", err)
		}
		add(folder+"/manifest.in", 0o644, list)
		for line := range strings.Lines(string(list)) {
			name, ok := strings.CutPrefix(strings.TrimSpace(line), "file:")
			if !ok || strings.HasPrefix(filepath.Base(name), "librustc-stable_rt.") { // 100 MB of sanitizers
				continue
			}
			from := filepath.Join(sysroot, filepath.FromSlash(name))
			info, err := os.Stat(from)
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			add(folder+"/"+name, int64(info.Mode().Perm()), data)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
