package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// fileEntry is an entry of [plugins] for one that is a file here, of [place.pluginFiles].
func (p *place) fileEntry(name, version string) string {
	return name + " = { version = \"" + version + "\", source = \"" + p.server.URL + "/{version}/plugin-{os}\", binary = \"" + name + "{exe}\" }\n"
}

// pluginFiles publishes a version of the plugins of [place.fileEntry].
func (p *place) pluginFiles(version string) {
	p.server.File("/"+version+"/plugin-linux", []byte(linuxARM))
	p.server.File("/"+version+"/plugin-windows", []byte(winX64))
}

// goRuntimes writes a manifest with protoc, and plugins that are files here, and a list
// of runtimes of Go.
func (p *place) goRuntimes(plugin, runtimes string) {
	p.goManifest(p.fileEntry("protoc", "36.2") + p.fileEntry("protoc-gen-go", plugin) + p.fileEntry("protoc-gen-go-grpc", "1.5.1") + "\n[runtimes]\ngo = [" + runtimes + "]\n\n[policy]\npublisher-times = [\"go\"]\n")
}

// publishGoRuntimes publishes what goRuntimes asks for.
func (p *place) publishGoRuntimes() {
	for _, version := range []string{"36.2", "1.36.6", "1.36.10", "1.37.0", "1.5.1"} {
		p.pluginFiles(version)
	}
	publish := func(path, version, requires string, files map[string]string) {
		files["go.mod"] = "module " + path + "\n\ngo 1.21\n\n" + requires
		p.server.Module(fake.Module{Path: path, Version: "v" + version, Files: files})
	}
	for _, version := range []string{"1.36.6", "1.36.10"} {
		publish("google.golang.org/protobuf", version, "", map[string]string{
			"proto/proto.go":          "package proto\n\nimport _ \"google.golang.org/protobuf/internal/set\"\n",
			"proto/proto_test.go":     "package proto\n",
			"encoding/enc/e.go":       "package enc\n",
			"reflect/r/r.go":          "package r\n",
			"runtime/r/r.go":          "package r\n",
			"types/known/a/a.go":      "package a\n",
			"types/pluginpb/p.go":     "package pluginpb\n",
			"protoadapt/p.go":         "package protoadapt\n",
			"internal/set/set.go":     "package set\n\nimport _ \"embed\"\n\n//go:embed set.bin\nvar Set []byte\n",
			"internal/set/set.bin":    version,
			"types/descriptorpb/d.go": "package descriptorpb\n", "types/dynamicpb/d.go": "package dynamicpb\n", "types/gofeaturespb/g.go": "package gofeaturespb\n",
			"cmd/protoc-gen-go/main.go": "package main\n\nfunc main() {}\n",
		})
	}
	for _, version := range []string{"1.60.0", "1.64.0", "1.76.0"} {
		files := map[string]string{
			"grpc.go":                 "package grpc\n\nimport _ \"google.golang.org/protobuf/proto\"\nimport _ \"google.golang.org/grpc/internal/sys\"\n",
			"internal/sys/sys.go":     "package sys\n",
			"internal/sys/l_linux.go": "package sys\n\nimport _ \"example.com/sys\"\n",
			"internal/sys/l_plan9.go": "package sys\n\nimport _ \"example.com/gone\"\n",
			"internal/sys/asm.s":      "",
			"xds/xds.go":              "package xds\n\nimport _ \"example.com/gone\"\n",
		}
		for _, name := range []string{"backoff", "codes", "connectivity", "credentials", "credentials/insecure", "encoding", "encoding/gzip", "grpclog", "health", "health/grpc_health_v1", "keepalive", "metadata", "peer", "reflection", "resolver", "stats", "status", "test/bufconn"} {
			files[name+"/x.go"] = "package x\n"
		}
		publish("google.golang.org/grpc", version, "require google.golang.org/protobuf v1.36.6\n\nrequire example.com/sys v0.5.0\n", files)
	}
	publish("example.com/sys", "0.5.0", "", map[string]string{"sys.go": "package sys\n"})
	publish("example.com/sys", "0.6.0", "", map[string]string{"sys.go": "package sys\n", "unused/u.go": "package unused\n"})
	publish("example.com/Lib", "1.0.0", "require example.com/sys v0.6.0\n", map[string]string{
		"lib.go": "package lib\n\nimport _ \"example.com/sys\"\n", "internal/i/i.go": "package i\n", "cmd/x/main.go": "package main\n\nfunc main() {}\n",
	})
	publish("example.com/cgo", "1.0.0", "", map[string]string{"c.go": "package cgo\n\nimport \"C\"\n"})
	publish("example.com/on-cgo", "1.0.0", "require example.com/cgo v1.0.0\n", map[string]string{"c.go": "package oncgo\n\nimport _ \"example.com/cgo\"\n"})
	publish("example.com/newer", "1.0.0", "require google.golang.org/protobuf v1.36.10\n", map[string]string{"n.go": "package newer\n\nimport _ \"google.golang.org/protobuf/proto\"\n"})
	publish("example.com/program", "1.0.0", "", map[string]string{"main.go": "package main\n\nfunc main() {}\n"})
	publish("example.com/withdrawn", "1.0.0", "", map[string]string{"w.go": "package withdrawn\n"})
	publish("example.com/withdrawn", "1.1.0", "retract v1.1.0 // it writes nonsense\n", map[string]string{"w.go": "package withdrawn\n"})
	publish("example.com/incomplete", "1.0.0", "", map[string]string{"i.go": "package incomplete\n\nimport _ \"example.com/sys\"\n"})
}

// TestRuntimesGo: the runtimes of Go are chosen to fit the plugins, with the modules that
// their packages are in, and what each package consists of.
func TestRuntimesGo(t *testing.T) {
	testenv.OnlyFull(t, "it starts Go many times; TestGo, TestAddGo and the conformance suite have the usual way")
	p, _ := newGoPlace(t)
	p.publishGoRuntimes()
	p.goRuntimes("1.36.6", `"protobuf", "grpc"`)
	p.ok("update", "--no-smoke")
	p.ok("check")
	l := p.locked()
	protobuf, grpc := l.Plugins["runtimes/go/protobuf"]["1.36.10"], l.Plugins["runtimes/go/grpc"]["1.76.0"]
	if protobuf == nil || grpc == nil || protobuf.Language != "go" || protobuf.Package != "google.golang.org/protobuf" || protobuf.Trust != "transparency-log" ||
		!slices.Equal(protobuf.Fits, []string{"protoc-gen-go@1.36.6"}) || !slices.Equal(grpc.Fits, []string{"protoc-gen-go-grpc@1.5.1"}) {
		t.Fatalf("%+v\n%+v\n%s", protobuf, grpc, p.read("plugins.lock.toml"))
	}
	if got := slices.Sorted(maps.Keys(grpc.Files)); !slices.Equal(got, []string{"example.com/sys@v0.5.0.zip", "google.golang.org/grpc@v1.76.0.zip", "google.golang.org/protobuf@v1.36.10.zip"}) {
		t.Errorf("files %q", got)
	}
	for at, want := range map[string]string{
		"google.golang.org/protobuf/proto":        "proto.go: google.golang.org/protobuf/internal/set",
		"google.golang.org/protobuf/internal/set": "set.bin set.go: ",
		"google.golang.org/grpc/internal/sys":     "asm.s l_linux.go sys.go: example.com/sys",
		"google.golang.org/grpc":                  "grpc.go: google.golang.org/grpc/internal/sys google.golang.org/protobuf/proto",
		"example.com/sys":                         "sys.go: ",
	} {
		f := grpc.Folders[at]
		if got := strings.Join(f.Files, " ") + ": " + strings.Join(f.Imports, " "); got != want {
			t.Errorf("%s has %q, want %q", at, got, want)
		}
	}
	for _, at := range []string{"google.golang.org/grpc/xds", "google.golang.org/protobuf/cmd/protoc-gen-go", "google.golang.org/grpc"} {
		if _, there := protobuf.Folders[at]; there {
			t.Errorf("%s is a package of protobuf", at)
		}
	}
	if a, b := grpc.Platforms["linux-aarch64"], grpc.Platforms["windows-x86_64"]; a.Tree == "" || a != b {
		t.Errorf("%+v %+v", a, b)
	}
	text := p.read("plugins.lock.toml")
	p.server.Forget()
	p.ok("update")
	if n := p.server.Count(""); n != 0 {
		t.Errorf("%d requests", n)
	}
	for _, args := range [][]string{{"update", "--all", "--no-smoke"}, {"update", "--verify", "--no-smoke"}} {
		p.ok(args...)
		if got := p.read("plugins.lock.toml"); got != text {
			t.Errorf("%v: another lock:\n%s", args, got)
		}
	}
	p.known("runtimes/go/grpc", "example.com/sys", "needed by google.golang.org/grpc@1.76.0")
	// Any other module by its path, with all that others may import.
	p.ok("add", "runtimes/go/example.com/Lib@1.0.0")
	if text := p.read("plugins.toml"); !strings.Contains(text, `go = ["protobuf", "grpc", "example.com/Lib==1.0.0"]`) {
		t.Error(text)
	}
	l = p.locked()
	lib, grpc := l.Plugins["runtimes/go/example.com-lib"]["1.0.0"], l.Plugins["runtimes/go/grpc"]["1.76.0"]
	if lib == nil || grpc.Files["example.com/sys@v0.6.0.zip"].SHA256 == "" || !slices.Equal(slices.Sorted(maps.Keys(lib.Folders)), []string{"example.com/Lib", "example.com/sys"}) {
		t.Errorf("%+v\n%s", lib, p.read("plugins.lock.toml"))
	}
	p.ok("remove", "runtimes/go/example.com-lib")
	// What its publisher has retracted is not chosen; written down by a person it is locked, and told.
	p.ok("add", "runtimes/go/example.com/withdrawn")
	if v := p.locked().Plugins["runtimes/go/example.com-withdrawn"]["1.0.0"]; v == nil {
		t.Error(p.read("plugins.lock.toml"))
	}
	if _, talk := p.ok("add", "runtimes/go/example.com/withdrawn@1.1.0"); !strings.Contains(talk, "retracted example.com/withdrawn@v1.1.0: it writes nonsense") {
		t.Error(talk)
	}
	p.ok("remove", "runtimes/go/example.com-withdrawn")
	if p.read("plugins.lock.toml") == "" {
		t.Error("no lock")
	}
}

// TestRuntimesGoRefused: what does not fit the plugins or cannot be compiled is not locked.
func TestRuntimesGoRefused(t *testing.T) {
	p, _ := newGoPlace(t)
	p.publishGoRuntimes()
	for row, tt := range []struct {
		name, plugin, runtimes string
		class                  fault.Class
		says                   []string
	}{
		{"older than the code", "1.36.10", `"protobuf==1.36.6"`, fault.Usage, []string{"protobuf 1.36.6 does not run the code of protoc-gen-go 1.36.10"}},
		{"gRPC", "1.36.6", `"protobuf", "grpc==1.60.0"`, fault.Usage, []string{"grpc 1.60.0 does not run the code of protoc-gen-go-grpc 1.5.1, which wants 1.64.0 or later, before 2"}},
		{"there is none yet", "1.37.0", `"protobuf"`, fault.Upstream, []string{">=1.37.0 <2, which is what fits protoc-gen-go 1.37.0"}},
		{"no such name", "1.36.6", `"tonic"`, fault.Usage, []string{`no runtime of go is called "tonic"`}},
		{"known by another name", "1.36.6", `"google.golang.org/grpc"`, fault.Usage, []string{`write "grpc"`}},
		{"no such module", "1.36.6", `"example.com/nothing==1.0.0"`, fault.Upstream, []string{"example.com/nothing"}},
		{"no such version", "1.36.6", `"example.com/sys==0.9.0"`, fault.Upstream, []string{"example.com/sys"}},
		{"cgo", "1.36.6", `"example.com/cgo==1.0.0"`, fault.Usage, []string{"has no package that a program could import", "cgo", "take it out of [runtimes]"}},
		{"needs cgo", "1.36.6", `"example.com/on-cgo==1.0.0"`, fault.Usage, []string{"for linux-aarch64 it needs cgo", "example.com/cgo", "take it out of [runtimes]"}},
		{"older than another needs it", "1.36.6", `"protobuf==1.36.6", "example.com/newer==1.0.0"`, fault.Usage, []string{"need google.golang.org/protobuf 1.36.10 or later, and it has 1.36.6"}},
		{"a program", "1.36.6", `"example.com/program==1.0.0"`, fault.Usage, []string{"has no package that a program could import"}},
		{"incomplete", "1.36.6", `"example.com/incomplete==1.0.0"`, fault.Usage, []string{"incomplete", "example.com/sys"}},
		{"a range", "1.36.6", `"protobuf>=1"`, fault.Usage, []string{"is not the name of a library"}},
	} {
		if row%testenv.Count(3, 1) != 0 {
			continue // each starts go
		}
		p.remove("plugins.lock.toml")
		p.goRuntimes(tt.plugin, tt.runtimes)
		t.Log(tt.name)
		p.fails(tt.class, tt.says, "update", "--no-smoke")
		if p.read("plugins.lock.toml") != "" {
			t.Errorf("%s: wrote a lock", tt.name)
		}
	}
}
