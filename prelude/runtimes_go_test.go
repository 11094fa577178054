package prelude_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestRuntimesGo: a service in Go is built from plugins.toml and one BUCK file, on
// modules that lockgen chose and Buck2 has by fetch. Its programs are compiled and run
// where Go's own library may be, which takes minutes.
func TestRuntimesGo(t *testing.T) {
	bucktest.Need(t)
	testenv.Real(t, "needs modules from a proxy")
	needs(t, "go", "gcc")
	plugins := []string{"go", "protoc", "protoc-gen-go", "protoc-gen-go-grpc"}
	// The plugins are as in our lock, and the runtimes fit them.
	manifest, version := ownManifest(t, plugins...)
	tables := lockedTables(t, "\n[runtimes.", map[string]string{
		"plugins.toml": manifest + "\n[runtimes]\ngo = [\"protobuf\", \"grpc\"]\n\n[policy]\npublisher-times = [\"go\"]\n",
		lock.FileName:  ownLock(t),
	})
	p := scratch(t, tables, map[string]string{
		".buckconfig":               scratchConfig + "[buck2_protobuf]\nruntimes = go\n",
		"toolchains/BUCK":           compiledToolchains,
		"toolchains/java.bzl":       jdkToolchain,
		"toolchains/jar_builder.sh": jarBuilder,
		"api/greet.proto":           strings.Replace(greetProto, "option java_multiple_files = true;", "option go_package = \"example.com/greet\";", 1),
		"api/BUCK": `
load("@buck2-protobuf//rules:go.bzl", "go_proto_library")

go_proto_library(name = "greet_go", srcs = ["greet.proto"], grpc = True, package_name = "example.com/greet")
go_binary(name = "main", srcs = ["main.go"], deps = [":greet_go", "toolchains//:go-runtime-grpc"])
`,
		"api/main.go": `package main

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/greet"
)

type greeter struct{ greet.UnimplementedGreeterServer }

func (greeter) Greet(_ context.Context, name *greet.Name) (*greet.Name, error) {
	return &greet.Name{Name: "Hello, " + name.Name}, nil
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer()
	greet.RegisterGreeterServer(server, greeter{})
	go server.Serve(listener)
	client, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	answer, err := greet.NewGreeterClient(client).Greet(context.Background(), &greet.Name{Name: "Go"})
	if err != nil {
		panic(err)
	}
	fmt.Println(answer.Name)
	server.Stop()
}
`,
	})
	// Everything is there to compile with, and nothing has to be compiled to know it.
	expect(t, p.Must("cquery", "deps(//api:greet_go)"), "toolchains//:go-package-google.golang.org/protobuf/runtime/protoimpl ", "toolchains//:go-package-google.golang.org/grpc/status ")
	out := p.Build("toolchains//:go-module-google.golang.org/protobuf@v" + version["protoc-gen-go"] + ".zip")[0]
	if _, err := os.Stat(filepath.Join(out, "google.golang.org", "protobuf@v"+version["protoc-gen-go"], "proto", "doc.go")); err != nil {
		t.Error(err)
	}
	expectMisfits(t, p, "//api:greet_go[code]", "root//api:greet_go-gen: ", map[string]*strings.Replacer{
		" is locked for the code of protoc-gen-go 1.30.0, and not for that of protoc-gen-go " + version["protoc-gen-go"] + ". Run: lockgen update": strings.NewReplacer(
			`fits = ["protoc-gen-go@`+version["protoc-gen-go"]+`"]`, `fits = ["protoc-gen-go@1.30.0"]`),
		"needs the library grpc, which is not locked. Run: lockgen add runtimes/go/grpc": strings.NewReplacer(
			`fits = ["protoc-gen-go-grpc@`+version["protoc-gen-go-grpc"]+`"]`+"\n", "", "[runtimes.go.grpc.", "[runtimes.go.other."),
	})
	if os.Getenv("BUCK2_PROTOBUF_TEST_GO") == "" {
		t.Skip("set BUCK2_PROTOBUF_TEST_GO to compile and run it, with Go's standard library")
	}
	if got, want := p.Must("run", "//api:main"), "Hello, Go\n"; got != want {
		t.Errorf("program printed %q, want %q", got, want)
	}
}
