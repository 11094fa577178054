package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestShapes runs every command that prints JSON in each of its ways. [fake.Speech]
// holds what it prints against the schema of its shape, here as in all other
// tests.
func TestShapes(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it runs every command of both programs")
	seen := map[string]bool{}
	run := func(p *place, status int, args ...string) {
		t.Helper()
		got, stdout, stderr := p.run(append(args, "--json")...)
		if got != status {
			t.Errorf("%v: status %d, want %d\n%s%s", args, got, status, stdout, stderr)
		}
		var doc struct{ Schema string }
		if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
			t.Errorf("%v: %v\n%s", args, err, stdout)
		}
		seen[doc.Schema] = true
	}
	p := releases(t, "0.1.0", "0.1.1", "0.2.0")
	run(p, 0, "update")
	p.write("first.toml", p.read("plugins.lock.toml"))
	run(p, 0, "add", "fetch@0.1.0", "--dry-run")
	run(p, 0, "add", "fetch@0.1.0")
	run(p, 0, "outdated")
	run(p, 0, "upgrade", "fetch", "--dry-run")
	run(p, 0, "upgrade", "fetch")
	run(p, 0, "list")
	run(p, 0, "tree")
	run(p, 0, "explain", "fetch")
	run(p, 0, "explain", "other", "--upstream")
	run(p, 0, "check")
	run(p, 0, "check", "--upstream")
	run(p, 0, "diff", p.path("first.toml"))
	run(p, 0, "mirror", "--to", "oci-layout:"+p.path("mirror"), "--dry-run")
	run(p, 0, "mirror", "--to", "oci-layout:"+p.path("mirror"))
	run(p, 0, "search", "grpc")
	run(p, 0, "remove", "fetch", "--dry-run")
	run(p, 0, "remove", "fetch")
	run(p, 0, "version")
	run(p, 0, "--version")
	run(p, 2, "explain", "gone")
	run(p, 2, "gte")
	p.ok("init", "--no-buck2")
	run(p, 0, "init", "--no-buck2")
	p.write("plugins.lock.toml", "schema = 1\n")
	run(p, 3, "check")
	p.write("plugins.lock.toml", p.read("first.toml"))
	p.server.File("/other-linux-aarch64", []byte(linuxARM+"!"))
	run(p, 5, "check", "--upstream")
	run(newPlace(t), 0, "init", "--no-buck2", "--dry-run")
	run(newPlace(t), 0, "init", "--yes")
	q := kinds(t)
	for _, args := range [][]string{{"list"}, {"tree"}, {"why", "c"}, {"explain", "deep", "--why", "c"}} {
		run(q, 0, args...)
	}
	buf := newPlace(t)
	buf.write("buf.gen.yaml", "version: v2\nplugins:\n  - remote: buf.build/bufbuild/es:v2.2.0\n    out: gen\n  - local: protoc-gen-unheard-of\n    out: gen\n")
	run(buf, 0, "init", "--from", buf.path("buf.gen.yaml"), "--no-buck2", "--yes")

	tree := newProtoTree(t, map[string]string{"api/a.proto": "syntax = \"proto3\";\n", "api/b.proto": "syntax = \"proto3\";\nimport \"api/a.proto\";\n"})
	for _, args := range [][]string{{".", "--dry-run"}, {".", "--check"}, {"."}, {".", "--check"}} {
		_, stdout, _ := tree.run(append(args, "--json")...)
		seen["buck2-protobuf/lockgen-buckify/v1"] = strings.Contains(stdout, `"schema": "buck2-protobuf/lockgen-buckify/v1"`)
	}
	_, stdout, _ := five(t).run("doctor", "--json")
	seen["buck2-protobuf/lockgen-doctor/v1"] = strings.Contains(stdout, `"schema": "buck2-protobuf/lockgen-doctor/v1"`)
	five(t).run("doctor", "--manager", "npm", "--json")
	five(t).run("doctor", "--manager", "npm", "--min-version", "99", "--json")
	var verbs []string
	for _, v := range table.Verbs {
		if v.JSON {
			verbs = append(verbs, v.Name)
		}
	}
	testenv.Shapes(t, "lockgen", seen, verbs)
}
