package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestSearch: plugins are found by their words, without a manifest or a network,
// and the same ones are in the error of a name that is not known.
func TestSearch(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, tt := range []struct{ words, want, talk string }{
		{"connect", "protoc-gen-connect-es           Connect services for what protoc-gen-es 1 makes\nprotoc-gen-connect-go ", ""},
		{"grpc rust", "protoc-gen-tonic  gRPC in Rust", ""},
		{"python", "python                     Python, the runtime of the plugins of Python", ""},
		{"[", "", "the catalogue has nothing that matches ["},
		{"原型", "", "the catalogue has nothing that matches 原型"},
		{"fortran", "", "the catalogue has nothing that matches fortran"},
		{"grpc-tools", "grpc_tools_node_protoc_ts ", "grpc-tools cannot be locked: its install script downloads a program, and scripts of packages are never run; use grpc-node"},
		{"googleapis", "protos/googleapis  ", ""},
		{"google/api/annotations.proto", "protos/googleapis  ", ""},
		{"buf.build/bufbuild/protovalidate", "protos/protovalidate  ", ""},
		{"cncf udpa", "protos/xds  ", ""},
		{"health", "protos/grpc  ", ""},
		{"nowhere/such.proto", "", "the catalogue has nothing that matches nowhere/such.proto"},
	} {
		stdout, talk := p.ok(append([]string{"search"}, strings.Fields(tt.words)...)...)
		if !strings.HasPrefix(stdout, tt.want) || (tt.want == "") != (stdout == "") || !strings.Contains(talk, tt.talk) {
			t.Errorf("%s:\n%s%s", tt.words, stdout, talk)
		}
	}
	all, _ := p.ok("search")
	if n := strings.Count(all, "\n"); n < 28 {
		t.Errorf("%d plugins without a word:\n%s", n, all)
	}
	stdout, _ := p.ok("search", "--json", "npm:ts-proto")
	var said struct{ Plugins []knownPlugin }
	if err := json.Unmarshal([]byte(stdout), &said); err != nil || len(said.Plugins) == 0 ||
		said.Plugins[0].Name != "ts-proto" || said.Plugins[0].Language != "typescript" || said.Plugins[0].Runtime != "node" || said.Plugins[0].Sources[0] != "npm:ts-proto" {
		t.Errorf("%v\n%s", err, stdout)
	}
	// Proto packages follow plugins, and all of them are found.
	if stdout, _ := p.ok("search", "validate"); !strings.Contains(stdout, "\nprotos/protoc-gen-validate  ") || !strings.Contains(stdout, "\nprotos/protovalidate  ") {
		t.Errorf("%s", stdout)
	}
	if n, want := strings.Count(all, "\nprotos/"), len(catalog.Builtin().ProtosNames()); n != want {
		t.Errorf("%d proto packages without a word, want %d:\n%s", n, want, all)
	}
	stdout, _ = p.ok("search", "--json", "google/rpc/status.proto")
	said.Plugins = nil
	if err := json.Unmarshal([]byte(stdout), &said); err != nil || len(said.Plugins) != 1 || said.Plugins[0].Name != "protos/googleapis" || len(said.Plugins[0].Serves) == 0 || said.Plugins[0].Sources[0] != "pip:googleapis-common-protos" {
		t.Errorf("%v\n%s", err, stdout)
	}
	if stdout, _ := p.ok("search", "--json", "fortran"); !strings.Contains(stdout, `"plugins": []`) {
		t.Errorf("%s", stdout)
	}

	p.manifest("")
	p.fails(fault.Usage, []string{`unknown plugin "connect"`, "protoc-gen-connect-go       Connect services for Go"}, "add", "connect")
	p.fails(fault.Usage, []string{"protoc-gen-go-grpc ", "more: lockgen search grpc"}, "add", "grpc")
	p.fails(fault.Usage, []string{`unknown plugin "fortran"`, "lockgen search"}, "add", "fortran")
	p.fails(fault.Usage, []string{"protoc-gen-es "}, "add", "js")
	p.fails(fault.Usage, []string{"protoc makes python itself: --python_out"}, "add", "protoc-gen-python")
}
