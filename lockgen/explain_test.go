package main

import (
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	p := five(t)
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"explain", "ts-proto"}, []string{
			"ts-proto 2.7.2: idiomatic TypeScript", "plugins.toml:6, in the bundle typescript", "npm:ts-proto  <- locked", "trust: registry, the digests",
			"runs on: node@24.19.0", "windows-aarch64  runs what windows-x86_64 has", "dprint-node@1.0.8 (9.5 MiB)",
		}},
		{[]string{"explain", "node"}, []string{"runs: protoc-gen-es 1.10.0, protoc-gen-ts 0.8.7, ts-proto 2.7.2", "for linux-x86_64", "(1 file, "}},
		{[]string{"explain", "protoc-gen-es@1.10.0", "--why", "@bufbuild/protobuf"}, []string{
			"node_modules/@bufbuild/protobuf: at the top", "inside @bufbuild/protoplugin@1.10.0",
		}},
		{[]string{"explain", "protoc-gen-es", "--why", "@bufbuild/protoc-gen-es"}, []string{"the plugin itself"}},
		{[]string{"explain", "ts-proto", "--json"}, []string{`"from": "npm:ts-proto"`, `"evidence": `, `"binary": `}},
	} {
		out, _ := p.ok(tt.args...)
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%v: %q is not in\n%s", tt.args, want, out)
			}
		}
	}
	p.fails(fault.Usage, []string{"takes one plugin"}, "explain")
	p.fails(fault.Usage, []string{"did you mean ts-proto?"}, "explain", "ts-porto")
	p.fails(fault.Usage, []string{"asks for ts-proto 2.7.2, not for ts-proto@1.0.0"}, "explain", "ts-proto@1.0.0")
	p.fails(fault.Usage, []string{"library", "protoc-gen-prost"}, "explain", "prost-build")
	p.fails(fault.Usage, []string{"has no package left-pad"}, "explain", "ts-proto", "--why", "left-pad")
	p.fails(fault.Upstream, []string{"offline"}, "explain", "ts-proto", "--upstream", "--offline")

	// What is asked for and not locked, and the other way round.
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), `ts-proto = "2.7.2"`, `ts-proto = "2.18.0"`, 1))
	if out, _ := p.ok("explain", "ts-proto"); !strings.Contains(out, "ts-proto 2.18.0") || !strings.Contains(out, "not locked; run: lockgen update") {
		t.Error(out)
	}
	if out, _ := p.ok("explain", "ts-proto@2.7.2"); !strings.Contains(out, "asked for: nowhere") {
		t.Error(out)
	}
}
