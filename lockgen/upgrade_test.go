package main

import (
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestMovePins: update NAME@VERSION writes an exact version in the place of the one
// that is there; of several a person says which.
func TestMovePins(t *testing.T) {
	t.Parallel()
	p := newBase(t)
	p.publishProtoc("31.0")
	_, talk := p.ok("update", "protoc@31.0")
	says(t, talk, "changed protoc from 30.2 to 31.0", "locked protoc 31.0", "dropped protoc 30.2")
	if text := p.read("plugins.toml"); !strings.Contains(text, "protoc = \"31.0\"\n") {
		t.Errorf("manifest:\n%s", text)
	}
	p.ok("check")
	p.fails(fault.Upstream, []string{"protoc 99.0"}, "update", "protoc@99.0")
	p.ok("update", "protoc@^30")
	if text := p.read("plugins.toml"); !strings.Contains(text, "protoc = \"^30\"\n") || p.locked().Plugins["protoc"]["30.2"] == nil {
		t.Errorf("manifest:\n%s", text)
	}
	p.manifest("protoc = [\"30.2\", \"31.0\"]\n")
	p.ok("update")
	p.publishProtoc("32.0")
	p.fails(fault.Usage, []string{"asks for protoc 30.2 and 31.0: which of them should become 32.0?", "lockgen add protoc@32.0, and then, for the version to replace: lockgen remove protoc@30.2"}, "update", "protoc@32.0")
}

// TestUpgrade: pins and ranges move as far as they may, never back, and outdated
// names the command that does it.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	needPip(t)
	p := newPlace(t)
	p.publishProtocs(map[string]int{"30.1": 300, "30.2": 200, "30.3": 100, "31.0": 90, "31.1": 1})
	for _, tt := range []struct {
		entry string // of protoc
		args  []string
		want  string // its entry afterwards
		run   string // what outdated proposes before
	}{
		{`"30.1"`, nil, `"30.3"`, "lockgen upgrade --latest protoc"},
		{`"30.1"`, []string{"protoc", "--latest"}, `"31.0"`, "lockgen upgrade --latest protoc"},
		{`"^30.1"`, []string{"--latest"}, `"^31.0"`, "lockgen upgrade --latest protoc"},
		{`">=30 <31"`, []string{"--latest"}, `"^31.0"`, "lockgen upgrade --latest protoc"},
		{`">=30"`, []string{"--latest"}, `">=30"`, ""},
		{`"31.1"`, []string{"--latest"}, `"31.1"`, ""}, // too young for others, and never back
		{`["30.1", "31.0"]`, nil, `["30.1", "31.0"]`, "lockgen upgrade --latest 'protoc@30.1'"},
		{`["30.1", "31.0"]`, []string{"protoc@30.1"}, `["30.3", "31.0"]`, "lockgen upgrade --latest 'protoc@31.0'"},
		{`["30.1", "31.0"]`, []string{"protoc@30.1", "--latest"}, `"31.0"`, "lockgen upgrade --latest 'protoc@30.1'"},
	} {
		p.manifest("protoc = " + tt.entry + "\n")
		p.ok("update")
		if stdout, _ := p.ok("outdated"); tt.run != "" && !strings.Contains(stdout, tt.run) || tt.run == "" && strings.Contains(stdout, "lockgen ") {
			t.Errorf("%s: outdated does not say to run %q:\n%s", tt.entry, tt.run, stdout)
		}
		p.ok(append([]string{"upgrade"}, tt.args...)...)
		if text := p.read("plugins.toml"); !strings.Contains(text, "protoc = "+tt.want+"\n") {
			t.Errorf("%s %v: want %s\n%s", tt.entry, tt.args, tt.want, text)
		}
		p.ok("check")
	}
	p.manifest("protoc = [\"30.1\", \"31.0\"]\n")
	p.ok("update")
	p.fails(fault.Usage, []string{"asks for protoc 30.1 and 31.0, side by side", "lockgen upgrade protoc@30.1"}, "upgrade", "protoc")
	p.fails(fault.Usage, []string{"asks for protoc 30.1 and 31.0, not 30.2"}, "upgrade", "protoc@30.2")
	p.fails(fault.Usage, []string{"did you mean protoc?"}, "upgrade", "protco")
}
