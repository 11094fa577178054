package main

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// fakeProtoc does what matters here of protoc: it runs the plugin and says what
// protoc says when that breaks or answers with an error.
const fakeProtoc = `#!/bin/sh
if [ "$1" = --version ]; then echo libprotoc 1; exit 0; fi
plugin=${1#--plugin=protoc-gen-smoke=}
[ -f "$4" ] || { echo "no $4" >&2; exit 1; }
"$plugin" < "$4" > answer || { echo "--smoke_out: protoc-gen-smoke: Plugin failed with status code $?." >&2; exit 1; }
while read -r line || [ -n "$line" ]; do
  case $line in *x.rs*) echo "x.rs: Tried to insert into file that doesn't exist." >&2; exit 1;; esac
done < answer
if [ -s answer ]; then echo "--smoke_out: which mode?" >&2; exit 1; fi
`

// TestSmoke: what does not run here is not locked.
func TestSmoke(t *testing.T) {
	t.Parallel()
	host, ok := lock.Host()
	if !ok || runtime.GOOS == "windows" {
		t.Skip("the plugins of this test are shell scripts")
	}
	p := newPlace(t)
	p.server.File("/protoc", []byte(fakeProtoc))
	manifest := func(entries string) {
		p.write("plugins.toml", "platforms = [\""+host.Name+"\"]\n[plugins]\n"+entries)
	}
	plugin := func(name string) string {
		return name + " = { version = \"1.0\", source = \"" + p.server.URL + "/" + name + "\", binary = \"bin/protoc-gen-" + name + "\" }\n"
	}
	protoc := "protoc = { version = \"1.0\", source = \"" + p.server.URL + "/protoc\", binary = \"protoc\", include = \"\" }\n"
	protoc = strings.Replace(protoc, ", include = \"\"", "", 1)
	for _, tt := range []struct {
		name, script string
		class        fault.Class
		direct       []string // said without a protoc
		by           []string // said with one, nil for the same
	}{
		{"good", "exit 0", fault.OK, nil, nil},
		{"crashes", "echo cannot load libfoo.so >&2; exit 3", fault.Integrity, []string{"smoke run", host.Name, "cannot load libfoo.so", "--no-smoke"}, []string{"smoke run", "status code 3", "cannot load libfoo.so"}},
		{"chats", "echo hello", fault.Usage, []string{"not a CodeGeneratorResponse", "hello", "check that binary in the entry is a protoc plugin"}, []string{"not a CodeGeneratorResponse"}},
		{"killed", "kill -9 $$", fault.Integrity, []string{"killed"}, []string{"137"}},
		{"wants", "[ -n \"$(read x && echo $x)\" ] || exit 0; printf '\\012\\005sorry'", fault.OK, nil, []string{"runs, and answers a request without options", "which mode?"}},
		{"inserts", "printf '\\172\\012\\012\\004x.rs\\022\\002pt'", fault.OK, nil, []string{"runs, and answers a request without options", "Tried to insert"}},
		{"sees", "[ -z \"$HTTPS_PROXY$CANARY\" ] && exit 9; [ \"$CANARY\" = \"\" ] || { echo the environment leaks >&2; exit 8; }; exit 0", fault.OK, nil, nil},
	} {
		p.server.File("/"+tt.name, []byte("#!/bin/sh\n"+tt.script+"\n"))
		for _, with := range []bool{false, true} {
			entries, want := plugin(tt.name), tt.direct
			if with {
				entries += protoc
				if tt.by != nil {
					want = tt.by
				}
			}
			manifest(entries)
			p.write("plugins.lock.toml", "")
			p.remove("plugins.lock.toml")
			if with && tt.name == "chats" { // the fake takes any output for an error
				continue
			}
			if tt.class != fault.OK {
				p.fails(tt.class, want, "update")
				p.ok("update", "--no-smoke")
				continue
			}
			_, talk := p.ok("update")
			for _, w := range want {
				if !strings.Contains(talk, w) {
					t.Errorf("%s, with protoc %v: %q is not in\n%s", tt.name, with, w, talk)
				}
			}
			p.ok("check")
		}
	}

	// A plugin that generates nothing without an option, of which protoc says that it
	// failed: the entry has the option, or the plugin is not tried.
	p.server.File("/picky", []byte("#!/bin/sh\nwhile read -r l || [ -n \"$l\" ]; do case $l in *lang=go,x*) exit 0;; esac; done\necho which lang >&2; exit 1\n"))
	p.server.File("/protoc", []byte(`#!/bin/sh
if [ "$1" = --version ]; then echo libprotoc 1; exit 0; fi
plugin=${1#--plugin=protoc-gen-smoke=}
echo "${5#--smoke_opt=}" | "$plugin" || { echo "--smoke_out: protoc-gen-smoke: Plugin failed with status code $?." >&2; exit 1; }
`))
	for _, protoc := range []string{"", protoc} {
		for _, tt := range []struct {
			key  string
			want []string
		}{{"", []string{"which lang", "options = [", "smoke = false"}}, {", options = [\"lang=cc\"]", []string{"which lang"}}, {", options = [\"lang=go\", \"x\"]", nil}, {", smoke = false", nil}} {
			p.remove("plugins.lock.toml")
			manifest(strings.Replace(plugin("picky"), " }", tt.key+" }", 1) + protoc)
			if tt.want != nil {
				p.fails(fault.Integrity, tt.want, "update")
				continue
			}
			p.ok("update")
			p.ok("check")
		}
	}

	// What is no plugin is left alone, and so is what is not for this machine.
	p.remove("plugins.lock.toml")
	p.server.File("/lint", []byte("#!/bin/sh\nexit 9\n"))
	manifest("lint = { version = \"1.0\", source = \"" + p.server.URL + "/lint\", binary = \"lint\" }\n")
	if _, talk := p.ok("update", "-v"); !strings.Contains(talk, "lint 1.0: no smoke run") {
		t.Error(talk)
	}
	// add, with another protoc that does not run at all.
	p.server.File("/protoc", []byte("#!/bin/sh\nexit 5\n"))
	manifest(protoc)
	p.fails(fault.Integrity, []string{"protoc 1.0", "exit status 5"}, "update")
}

func (p *place) remove(name string) {
	p.t.Helper()
	if err := os.Remove(p.path(name)); err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
}
