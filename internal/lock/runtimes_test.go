package lock

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

func runtimeTable(name, version, also string) string {
	table := "\n[runtimes.python." + name + ".\"" + version + "\""
	text := table + "]\n" + `fits = ["protoc@30.2", "protoc@31.1"]
package = "` + name + `"
python = ["3.11", "3.12"]
source = "pip"
trust = "registry"
` + table + ".files]\n" + `"` + name + "-" + version + `-cp311-cp311-any.whl" = { sha256 = "` + sum("1") + `", size = 10, python = ["3.11"] }
"` + name + "-" + version + `-cp312-cp312-any.whl" = { sha256 = "` + sum("2") + `", size = 10, python = ["3.12"] }
` + also + table + ".platforms]\n"
	for _, p := range Platforms {
		text += p.Name + ` = { tree = "` + sum("3") + "\" }\n"
	}
	return text
}

// javaTable is a runtime of Java.
func javaTable(name, version string) string {
	table := "\n[runtimes.java." + name + ".\"" + version + "\""
	text := table + "]\npackage = \"com.acme:" + name + "\"\nsource = \"maven\"\ntrust = \"checksum-file\"\n" + table + ".files]\n\"com.acme/" + name + "-" + version + ".jar\" = { name = \"com.acme:" + name + "\", version = \"" + version + "\", sha256 = \"" + sum("1") + "\", size = 10 }\n" + table + ".platforms]\n"
	for _, p := range Platforms {
		text += p.Name + ` = { tree = "` + sum("3") + "\" }\n"
	}
	return text
}

// goTable is a runtime of Go.
func goTable(name, version string) string {
	table := "\n[runtimes.go." + name + ".\"" + version + "\""
	h1 := "h1:" + strings.Repeat("ab", 21) + "A" + "="
	text := table + "]\npackage = \"example.com/" + name + "\"\nsource = \"go\"\ntrust = \"transparency-log\"\n" + table + ".files]\n\"example.com/" + name + "@v" + version + ".zip\" = { name = \"example.com/" + name + "\", version = \"" + version + "\", sha256 = \"" + sum("1") + "\", size = 10, integrity = \"" + h1 + "\", gomod = \"" + h1 + "\" }\n" +
		table + ".folders]\n\"example.com/" + name + "\" = { files = [\"a.go\", \"data/x.bin\"], imports = [\"example.com/" + name + "/b\"] }\n\"example.com/" + name + "/b\" = { files = [\"b.go\"] }\n" + table + ".platforms]\n"
	for _, p := range Platforms {
		text += p.Name + ` = { tree = "` + sum("3") + "\" }\n"
	}
	return text
}

// TestRuntimesRoundTrip: a runtime knows its language when it was read, by either
// reader, and in an entry.
func TestRuntimesRoundTrip(t *testing.T) {
	t.Parallel()
	text := protosText(protosTable("acme", ""), goTable("lib", "1.0.0"), javaTable("lib", "1.0"), runtimeTable("grpcio", "1.76.0", ""), runtimeTable("protobuf", "6.31.1", ""))
	for name, in := range map[string]string{"canonical": text, "TOML": strings.ReplaceAll(text, " = ", "  =  ")} {
		l, err := Parse("lock", []byte(in))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		v := l.Plugins["runtimes/python/protobuf"]["6.31.1"]
		if v == nil || v.Language != "python" || !v.IsRuntime() || !slices.Equal(v.Fits, []string{"protoc@30.2", "protoc@31.1"}) || l.Runtimes != nil {
			t.Fatalf("%s: %+v", name, v)
		}
		if got := string(Print(l)); got != text {
			t.Errorf("%s: prints\n%s", name, got)
		}
		entry, err := json.Marshal(l.Entry("runtimes/python/protobuf", "6.31.1"))
		if err != nil {
			t.Fatal(err)
		}
		if e, err := ParseEntry("entry", entry); err != nil || e.Locked.Language != "python" {
			t.Errorf("%s: entry: %v %v", name, e, err)
		}
		if _, err := ParseEntry("entry", []byte(strings.Replace(string(entry), "runtimes/python/", "", 1))); err == nil {
			t.Errorf("%s: takes a runtime for a plugin", name)
		}
	}
	s, _ := compileSchema(t)
	if err := s.Validate(testenv.Instance(t, text)); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"protobuf-java": "protobuf-java", "com.acme:lib": "com.acme-lib", "example.com/Acme/lib": "example.com-acme-lib", "@acme/lib": "acme-lib"} {
		if got := RuntimeEntry("java", name); got != "runtimes/java/"+want {
			t.Errorf("%s is called %s", name, got)
		}
	}
	for entry, want := range map[string][2]string{"runtimes/python/protobuf": {"python", "protobuf"}, "protoc": {}, "protos/x": {}, "runtimes/python": {}} {
		if language, name, ok := RuntimeName(entry); language != want[0] || name != want[1] || ok != (want[0] != "") {
			t.Errorf("%s is %q %q %v", entry, language, name, ok)
		}
	}
}

// TestRuntimesRefused: what is no runtime is refused, by the schema as well where that
// can tell.
func TestRuntimesRefused(t *testing.T) {
	t.Parallel()
	s, _ := compileSchema(t)
	wheel := func(version string) string {
		return `"shared-` + version + `-py3-none-any.whl" = { sha256 = "` + sum("4") + "\", size = 10 }\n"
	}
	good := protosText(goTable("mod", "1.0.0"), javaTable("lib", "1.0"), runtimeTable("grpcio", "1.76.0", wheel("2.0")), runtimeTable("protobuf", "6.31.1", wheel("2.0")))
	if _, err := Parse("lock", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, old, new string
		schema         bool // which refuses it too
		says           string
	}{
		{"language", "[runtimes.python.", "[runtimes.pascal.", true, "there are no runtimes of"},
		{"name", "[runtimes.python.grpcio.", "[runtimes.python.Grpcio.", true, "is not allowed"},
		{"two versions", "[runtimes.python.grpcio.\"1.76.0\"]\n", strings.ReplaceAll(strings.TrimPrefix(runtimeTable("grpcio", "1.75.0", ""), "\n"), "", "") + "\n[runtimes.python.grpcio.\"1.76.0\"]\n", true, "in 2 versions"},
		{"source", `source = "pip"`, `source = "npm"`, true, ""},
		{"source of another language", "[runtimes.java.lib", "[runtimes.python.lib", false, "runtimes of python are of source pip, not maven"},
		{"Python for Java", "source = \"maven\"", "python = [\"3.11\"]\nsource = \"maven\"", true, "a runtime of java has no python"},
		{"Java to run it", "source = \"maven\"", "runtime = \"java@25\"\nsource = \"maven\"", true, "a runtime has no runtime"},
		{"no package", "[runtimes.go.mod.\"1.0.0\".folders]\n\"example.com/mod\" = { files = [\"a.go\", \"data/x.bin\"], imports = [\"example.com/mod/b\"] }\n\"example.com/mod/b\" = { files = [\"b.go\"] }\n\n", "", true, "folders are missing"},
		{"package of no module", `"example.com/mod/b"`, `"example.com/other"`, false, "it is in none of the modules"},
		{"import of no package", `imports = ["example.com/mod/b"]`, `imports = ["example.com/mod/c"]`, false, "is not among the folders"},
		{"files not sorted", `["a.go", "data/x.bin"]`, `["data/x.bin", "a.go"]`, false, "not sorted"},
		{"file elsewhere", `files = ["b.go"]`, `files = ["../b.go"]`, true, "b.go"},
		{"no jar", "lib-1.0.jar\"", "lib-1.0.pom\"", false, "neither a jar nor an exe"},
		{"no Python", "python = [\"3.11\", \"3.12\"]\n", "", true, ""},
		{"program", "source =", "program = \"x\"\nsource =", true, "a runtime has no program"},
		{"runtime", "source =", "runtime = \"node@1\"\nsource =", true, "a runtime has no runtime"},
		{"binary", "linux-x86_64 = { tree", `linux-x86_64 = { binary = "x", tree`, true, "no binary"},
		{"fits without a version", "protoc@30.2", "protoc", true, "fits"},
		{"fits not sorted", `["protoc@30.2", "protoc@31.1"]`, `["protoc@31.1", "protoc@30.2"]`, false, "not sorted"},
		{"two versions of a library", "protobuf.\"6.31.1\".files]\n", "protobuf.\"6.31.1\".files]\n" + wheel("2.1"), false, "one version of a library"},
		{"a plugin by that name", "[runtimes.python.grpcio", `[plugins."runtimes/python/grpcio"`, true, ""},
		{"a plugin with fits", "[runtimes.python.grpcio", "[plugins.grpcio", true, ""},
	} {
		text := strings.ReplaceAll(good, tt.old, tt.new)
		if text == good {
			t.Errorf("%s: changes nothing", tt.name)
		}
		if _, err := Parse("lock", []byte(text)); fault.Of(err) != fault.Lock || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err := s.Validate(testenv.Instance(t, text)); (err != nil) != tt.schema {
			t.Errorf("%s: the schema says %v", tt.name, err)
		}
	}
}

// npmRuntime is the table of a runtime of TypeScript with a package in each of the
// folders.
func npmRuntime(name string, packages ...[3]string) string {
	_, entry, _ := RuntimeName(RuntimeEntry("typescript", name))
	table := "\n[runtimes.typescript." + entry + ".\"1.0.0\""
	text := table + "]\npackage = \"" + name + "\"\nsource = \"npm\"\ntrust = \"registry\"\n" + table + ".files]\n"
	for _, p := range packages {
		text += `"` + p[0] + `" = { name = "` + p[1] + `", version = "` + p[2] + `", sha256 = "` + sum("1") + `", size = 10, integrity = "` + sri("y") + "\" }\n"
	}
	text += table + ".platforms]\n"
	for _, p := range Platforms {
		text += p.Name + ` = { tree = "` + sum("3") + "\" }\n"
	}
	return text
}

// TestRuntimesNPM: packages lie in one folder, where a path has one version; another
// one may be further down.
func TestRuntimesNPM(t *testing.T) {
	t.Parallel()
	s, _ := compileSchema(t)
	own := [3]string{"node_modules/@acme/one", "@acme/one", "1.0.0"}
	shared := [3]string{"node_modules/shared", "shared", "1.0.0"}
	inner := [3]string{"node_modules/two/node_modules/shared", "shared", "2.0.0"}
	good := protosText(npmRuntime("@acme/one", own, shared), npmRuntime("@acme/two", [3]string{"node_modules/@acme/two", "@acme/two", "1.0.0"}, shared, inner))
	l, err := Parse("lock", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(Print(l)); got != good {
		t.Errorf("prints\n%s", got)
	}
	if err := s.Validate(testenv.Instance(t, good)); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct{ name, old, new, says string }{
		{"two versions at one path", `"node_modules/shared" = { name = "shared", version = "1.0.0"`, `"node_modules/shared" = { name = "shared", version = "1.1.0"`, "one version of a library"},
		{"interpreters", "source = \"npm\"\n", "python = [\"3.11\"]\nsource = \"npm\"\n", "has no python"},
		{"source", "source = \"npm\"\n", "source = \"pip\"\n", ""},
	} {
		text := strings.Replace(good, tt.old, tt.new, 1)
		if _, err := Parse("lock", []byte(text)); text == good || fault.Of(err) != fault.Lock || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestCutSpec(t *testing.T) {
	for spec, want := range map[string]string{
		"ts-proto":                                  "ts-proto",
		"ts-proto@2.7.2":                            "ts-proto 2.7.2",
		"ts-proto@":                                 "ts-proto ",
		"protos/acme@1.0":                           "protos/acme 1.0",
		"runtimes/python/protobuf@6.33.6":           "runtimes/python/protobuf 6.33.6",
		"runtimes/typescript/@Acme/lib":             "runtimes/typescript/acme-lib",
		"runtimes/typescript/@acme/lib@1.0.0":       "runtimes/typescript/acme-lib 1.0.0",
		"runtimes/typescript/acme-lib@1.0.0":        "runtimes/typescript/acme-lib 1.0.0",
		"runtimes/java/com.acme:lib@1.0":            "runtimes/java/com.acme-lib 1.0",
		"runtimes/go/github.com/google/uuid@1.6.0":  "runtimes/go/github.com-google-uuid 1.6.0",
		"runtimes/go/github.com-google-uuid@latest": "runtimes/go/github.com-google-uuid latest",
	} {
		name, version, exact := CutSpec(spec)
		if exact {
			name += " " + version
		}
		if name != want {
			t.Errorf("%s is %q, want %q", spec, name, want)
		}
	}
}
