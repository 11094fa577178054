package main

import (
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/lockgen/diff"
	"github.com/birbparty/buck2-protobuf/lockgen/project"
)

func TestDiffMarkdown(t *testing.T) {
	t.Parallel()
	many := func(n int) (names []string) {
		for i := range n {
			names = append(names, fmt.Sprintf("p%d@1.0.0", i))
		}
		return names
	}
	for _, tt := range []struct {
		name    string
		changes []diff.Change
		want    string
	}{
		{"none", nil, "`lock` pins the same as `main`.\n"},
		{"bump", []diff.Change{{Plugin: "ts-proto", From: "2.7.2", To: "2.18.0", New: []string{"a@1", "@b/c@2"}, Moved: []string{"d 1 -> 2"}, Gone: []string{"e@1"}, Rest: []string{"trust registry -> first-use"}}},
			"### `lock`: 1 change since `main`\n\n- `ts-proto` 2.7.2 -> 2.18.0: 2 new packages, 1 package moved, 1 package dropped, `trust registry -> first-use`\n" +
				"  - new: `a@1`, `@b/c@2`\n  - moved: `d 1 -> 2`\n  - dropped: `e@1`\n"},
		{"new and gone", []diff.Change{{Plugin: "a", To: "1_0", Rest: []string{"from npm:a", "1 file"}}, {Plugin: "b", From: "1"}},
			"### `lock`: 2 changes since `main`\n\n- `a` 1\\_0 is new: `from npm:a`, `1 file`\n- `b` 1 is gone\n"},
		{"replaced", []diff.Change{{Plugin: "a", From: "1", To: "1", Replaced: []string{"x@1"}}},
			"### `lock`: 1 change since `main`\n\n> [!CAUTION]\n> Bytes changed under the same version. Upstreams promise never to do this: find out why before you merge.\n\n" +
				"- `a` 1: 1 file with **other bytes under the same version**\n  - **other bytes under the same version**: `x@1`\n"},
		{"hostile", []diff.Change{{Plugin: "a", From: "1", To: "2", New: []string{"`<img src=x>@1", "x\n# y@2"}, Rest: []string{"``"}}},
			"### `lock`: 1 change since `main`\n\n- `a` 1 -> 2: 2 new packages, ``` `` ```\n  - new: `` `<img src=x>@1 ``, `x\\n# y@2`\n"},
		{"folded", []diff.Change{{Plugin: "a", From: "1", To: "2", New: many(6)}},
			"### `lock`: 1 change since `main`\n\n- `a` 1 -> 2: 6 new packages\n  - <details><summary>new: 6</summary>\n\n    - `p0@1.0.0`\n    - `p1@1.0.0`\n    - `p2@1.0.0`\n    - `p3@1.0.0`\n    - `p4@1.0.0`\n    - `p5@1.0.0`\n\n    </details>\n"},
	} {
		if got := diff.Markdown("lock", "main", tt.changes); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
	p := own(t)
	p.write("old.toml", p.read("plugins.lock.toml"))
	if out, _ := p.ok("diff", "--markdown", p.path("old.toml")); !strings.HasPrefix(out, "`plugins.lock.toml` pins the same as ") {
		t.Error(out)
	}
	p.fails(fault.Usage, []string{"--markdown and --json"}, "diff", "--markdown", "--json", p.path("old.toml"))
}

// TestTextconv: what is changed in a lock, whatever it is, is changed in the
// text, and the lines are short.
func TestTextconv(t *testing.T) {
	t.Parallel()
	l := everyKind(t)
	before := diff.Text(l)
	if diff.Text(everyKind(t)) != before {
		t.Error("other text for the same lock")
	}
	changed := 0
	var change func(what string, v reflect.Value)
	check := func(what string) {
		changed++
		if diff.Text(l) == before {
			t.Errorf("%s is not in the text", what)
		}
	}
	change = func(what string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			change(what, v.Elem())
		case reflect.Struct:
			for i := range v.NumField() {
				change(what+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Map:
			for _, key := range v.MapKeys() {
				old := v.MapIndex(key)
				v.SetMapIndex(key, reflect.Value{})
				v.SetMapIndex(reflect.ValueOf(key.String()+"0").Convert(key.Type()), old)
				check(what + " " + key.String() + " by another name")
				v.SetMapIndex(reflect.ValueOf(key.String()+"0").Convert(key.Type()), reflect.Value{})
				check(what + " without " + key.String())
				if old.Kind() == reflect.Struct { // not addressable in a map
					c := reflect.New(old.Type()).Elem()
					for i := range c.NumField() {
						c.Set(old)
						if f := c.Field(i); f.Kind() == reflect.Slice {
							f.Set(reflect.ValueOf([]string{"other words"}))
						} else if f.Kind() == reflect.String {
							f.SetString(f.String() + "0")
						} else {
							f.SetInt(f.Int() + 1)
						}
						v.SetMapIndex(key, c)
						check(what + " " + key.String() + "." + c.Type().Field(i).Name)
					}
				} else {
					v.SetMapIndex(key, old)
					change(what+" "+key.String(), old)
				}
				v.SetMapIndex(key, old)
			}
		case reflect.String:
			old := v.String()
			v.SetString(old + "0")
			check(what)
			v.SetString(old)
		case reflect.Int:
			old := v.Int()
			v.SetInt(old + 1)
			check(what)
			v.SetInt(old)
		case reflect.Slice:
			old := reflect.ValueOf(v.Interface())
			v.Set(reflect.ValueOf([]string{"other words"}))
			check(what)
			v.Set(old)
		default:
			t.Fatalf("%s is of kind %s", what, v.Kind())
		}
	}
	change("lock", reflect.ValueOf(l))
	if diff.Text(l) != before {
		t.Error("the lock is not as it was")
	}
	if changed < 400 {
		t.Errorf("made %d changes only", changed)
	}

	p := own(t)
	out, _ := p.ok("textconv", p.path("plugins.lock.toml"))
	for line := range strings.Lines(out) {
		if len(line) > 160 {
			t.Errorf("a line of %d: %s", len(line), line)
		}
	}
	for _, want := range []string{"\nts-proto 2.7.2\n  source npm\n", "\n  node_modules/ts-proto\n    name ts-proto\n    version 2.7.2\n", "\n  windows-aarch64\n    emulate windows-x86_64\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q", want)
		}
	}
	for what, text := range map[string]string{
		"no lock":           "x\n",
		"CRLF":              strings.ReplaceAll(p.read("plugins.lock.toml"), "\n", "\r\n"),
		"a comment":         "# x\n" + p.read("plugins.lock.toml"),
		"a blank line less": strings.Replace(p.read("plugins.lock.toml"), "\n\n", "\n", 1),
		"a conflict":        "<<<<<<< ours\n" + p.read("plugins.lock.toml"),
		"nothing":           "",
	} {
		p.write("file.toml", text)
		want := strings.ReplaceAll(text, "\r", `\u000d`)
		if out, _ := p.ok("textconv", p.path("file.toml")); strings.TrimSuffix(out, "\n") != strings.TrimSuffix(want, "\n") {
			t.Errorf("%s: printed %.200q", what, out)
		}
	}
	p.fails(fault.Usage, []string{"takes one file"}, "textconv")
}

// TestTextconvInGit: git shows the digest that changed, below its plugin.
func TestTextconvInGit(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("skipped: the commands are for a Unix shell")
	}
	p := own(t)
	p.git("init", "--quiet", "--initial-branch=main")
	p.ok("init")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range project.GitConfig {
		c = strings.Replace(c, `"lockgen textconv"`, `"`+asLockgen+`=1 '`+self+`' textconv"`, 1)
		cmd := exec.Command("/bin/sh", "-c", c)
		cmd.Dir = p.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", c, err, out)
		}
	}
	p.commit("lock")
	text := p.read("plugins.lock.toml")
	at := strings.Index(text, `"node_modules/ts-proto" = `)
	i := at + strings.Index(text[at:], `sha256 = "`) + len(`sha256 = "`)
	p.write("plugins.lock.toml", text[:i]+strings.Repeat("7", 64)+text[i+64:])
	out := p.git("diff")
	for _, want := range []string{"\n@@ ", " ts-proto 2.7.2\n", "\n-    sha256 " + text[i:i+64] + "\n", "\n+    sha256 " + strings.Repeat("7", 64) + "\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if out := p.git("diff", "--no-textconv"); !strings.Contains(out, `sha256 = "777`) {
		t.Error(out)
	}
}
