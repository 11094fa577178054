package main

import (
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestFits: plugins that do not fit each other or their runtime are told when
// they are locked, also when it is the other one that moves.
func TestFits(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts npm many times; TestUpdate and the conformance suite have the usual way")
	p := newBase(t)
	plugin := func(name, bin, version string, more map[string]any) {
		more["bin"] = map[string]any{bin: "./" + bin}
		p.server.Package(fake.Package{Name: name, Version: version, Manifest: more, Files: map[string]string{bin: "#!/usr/bin/env node\n// " + version + "\n"}})
	}
	const es, connect = "@bufbuild/protoc-gen-es", "@connectrpc/protoc-gen-connect-es"
	optional := map[string]any{es: map[string]any{"optional": true}}
	plugin(es, "protoc-gen-es", "1.10.0", map[string]any{"engines": map[string]any{"node": ">=14"}})
	plugin(es, "protoc-gen-es", "2.17.0", map[string]any{"engines": map[string]any{"node": ">=22"}})
	plugin(connect, "protoc-gen-connect-es", "1.7.0", map[string]any{"peerDependencies": map[string]any{es: "^1.10.0"}, "peerDependenciesMeta": optional})
	plugin("protoc-gen-ts", "protoc-gen-ts", "0.8.7", map[string]any{"engines": map[string]any{"node": ">=99"}})
	p.server.Package(fake.Package{Name: "helper", Version: "1.0.0", Manifest: map[string]any{"engines": map[string]any{"node": "^99 || 4.x"}}, Files: map[string]string{"i.js": ""}})
	plugin("ts-gen-old", "protoc-gen-old", "1.0.0", map[string]any{
		"dependencies": map[string]any{"helper": "1.0.0"}, "engines": []string{"node >= 0.2"}, // as in 2010
	})
	plugin("ts-gen-peer", "protoc-gen-peer", "1.0.0", map[string]any{"peerDependencies": map[string]any{es: "^3"}, "peerDependenciesMeta": optional})

	const with = baseEntries + "protoc-gen-connect-es = \"1.7.0\"\n"
	for _, tt := range []struct {
		name, entries string
		class         fault.Class
		said          []string
	}{
		{"connect-es alone", with, fault.OK, []string{"protoc-gen-connect-es 1.7.0 needs the code that protoc-gen-es ^1 generates"}},
		{"connect-es beside es 2", with + "protoc-gen-es = \"2.17.0\"\n", fault.Usage,
			[]string{"protoc-gen-connect-es 1.7.0", "works only with protoc-gen-es ^1", "2.17.0 is locked", "from version 2 on protoc-gen-es makes the services itself"}},
		{"connect-es beside both", with + "protoc-gen-es = [\"1.10.0\", \"2.17.0\"]\n", fault.OK, nil},
		{"another node", baseEntries + "protoc-gen-ts = \"0.8.7\"\n", fault.Usage, []string{"requires node >=99", "node 24.19.0 is locked", "lockgen add node@VERSION"}},
		{"another node for a dependency", baseEntries + "old = { version = \"1.0.0\", source = \"npm:ts-gen-old\", binary = \"protoc-gen-old\" }\n", fault.OK,
			[]string{"helper@1.0.0 requires node ^99 || 4.x"}},
		{"a peer", baseEntries + "protoc-gen-es = \"1.10.0\"\npeer = { version = \"1.0.0\", source = \"npm:ts-gen-peer\", binary = \"protoc-gen-peer\" }\n", fault.Usage,
			[]string{"peer 1.0.0", "works only with protoc-gen-es ^3", "peerDependencies", "lockgen add 'protoc-gen-es@^3'"}},
		{"no such peer", baseEntries + "peer = { version = \"1.0.0\", source = \"npm:ts-gen-peer\", binary = \"protoc-gen-peer\" }\n", fault.OK, nil},
	} {
		p.write("plugins.lock.toml", baseLock.text)
		p.manifest(tt.entries)
		if tt.class != fault.OK {
			p.fails(tt.class, tt.said, "update")
			continue
		}
		_, talk := p.ok("update")
		for _, want := range tt.said {
			if !strings.Contains(talk, want) {
				t.Errorf("%s: %q is not in\n%s", tt.name, want, talk)
			}
		}
		if tt.said == nil && strings.Contains(talk, "asks for") {
			t.Errorf("%s: %s", tt.name, talk)
		}
	}

	// What is locked already is asked as well when the other one moves.
	p.write("plugins.lock.toml", baseLock.text)
	p.manifest(with + "protoc-gen-es = \"1.10.0\"\n")
	p.ok("update")
	p.manifest(with + "protoc-gen-es = \"2.17.0\"\n")
	p.fails(fault.Usage, []string{"protoc-gen-connect-es 1.7.0", "take out protoc-gen-connect-es"}, "update")
	p.publishNode("20.1.0")
	p.manifest(baseEntries + "protoc-gen-es = \"2.17.0\"\n")
	p.ok("update")
	p.manifest(strings.Replace(baseEntries, "24.19.0", "20.1.0", 1) + "protoc-gen-es = \"2.17.0\"\n")
	p.fails(fault.Usage, []string{"protoc-gen-es 2.17.0", "requires node >=22", "node 20.1.0 is locked", "lockgen add node@24.19.0"}, "update")
}
