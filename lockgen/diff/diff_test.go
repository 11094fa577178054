package diff

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// sample is the lock of the tests of internal/lock.
func sample() *lock.Lock {
	const name = "../../internal/lock/testdata/canonical.toml"
	text, err := os.ReadFile(name)
	if err != nil {
		panic(err)
	}
	l, err := lock.Parse(name, text)
	if err != nil {
		panic(err)
	}
	return l
}

// sum returns a digest made of one repeated digit.
func sum(digit string) string { return strings.Repeat(digit, 64) }

// edited is the sample lock with one plugin's version replaced by another.
func edited(edit func(l *lock.Lock)) *lock.Lock {
	l := sample()
	edit(l)
	return l
}

// bump moves a version's table and returns it.
func bump(l *lock.Lock, name, from, to string) *lock.Version {
	v := l.Plugins[name][from]
	delete(l.Plugins[name], from)
	l.Plugins[name][to] = v
	return v
}

func TestCompare(t *testing.T) {
	const key = "node_modules/ts-proto"
	set := func(v *lock.Version, key string, edit func(f *lock.File)) {
		f := v.Files[key]
		edit(&f)
		v.Files[key] = f
	}
	for _, tt := range []struct {
		name string
		edit func(l *lock.Lock)
		want string // lines
	}{
		{"nothing", func(*lock.Lock) {}, ""},
		{"bump", func(l *lock.Lock) {
			v := bump(l, "ts-proto", "2.7.2", "2.18.0")
			set(v, key, func(f *lock.File) { f.Version, f.SHA256 = "2.18.0", sum("d") })
			v.Files["node_modules/a"] = lock.File{Name: "a", Version: "1", SHA256: sum("a"), Size: 1}
			v.Files["node_modules/b"] = lock.File{Name: "b", Version: "2", SHA256: sum("a"), Size: 1}
			delete(v.Files, "node_modules/@bufbuild/protobuf")
			v.Trust = "first-use"
			v.Platforms["windows-aarch64"] = lock.Cell{Unavailable: "no native module"}
		}, "ts-proto 2.7.2 -> 2.18.0: 2 new packages: a@1, b@2; dropped @bufbuild/protobuf@2.17.0; trust registry -> first-use; platform windows-aarch64 now unavailable (no native module)"},
		{"a transitive one moves", func(l *lock.Lock) {
			set(bump(l, "ts-proto", "2.7.2", "2.7.3"), "node_modules/@bufbuild/protobuf", func(f *lock.File) { f.Version, f.SHA256 = "2.18.0", sum("d") })
		}, "ts-proto 2.7.2 -> 2.7.3: @bufbuild/protobuf 2.17.0 -> 2.18.0"},
		{"other bytes", func(l *lock.Lock) {
			set(l.Plugins["ts-proto"]["2.7.2"], key, func(f *lock.File) { f.SHA256 = sum("d") })
		}, "ts-proto 2.7.2: OTHER BYTES under the same version: ts-proto@2.7.2"},
		{"other bytes of a URL", func(l *lock.Lock) {
			v := l.Plugins["acme-lint"]["1.4.0"]
			for k := range v.Files {
				set(v, k, func(f *lock.File) { f.Size++ })
			}
		}, "acme-lint 1.4.0: OTHER BYTES under the same version"},
		{"other bytes during a bump", func(l *lock.Lock) {
			set(bump(l, "ts-proto", "2.7.2", "2.7.3"), "node_modules/@bufbuild/protobuf", func(f *lock.File) { f.SHA256 = sum("d") })
		}, "ts-proto 2.7.2 -> 2.7.3: OTHER BYTES under the same version: @bufbuild/protobuf@2.17.0"},
		{"side by side", func(l *lock.Lock) {
			l.Plugins["ts-proto"]["2.18.0"] = l.Plugins["ts-proto"]["2.7.2"]
		}, "ts-proto 2.18.0 is new: from npm:ts-proto; "},
		{"gone", func(l *lock.Lock) { delete(l.Plugins, "acme-lint") }, "acme-lint 1.4.0 is gone"},
		{"runtime", func(l *lock.Lock) { l.Plugins["ts-proto"]["2.7.2"].Runtime = "" }, "ts-proto 2.7.2: runtime node@24.19.0 -> none"},
		{"another tree", func(l *lock.Lock) {
			c := l.Plugins["ts-proto"]["2.7.2"].Platforms["linux-x86_64"]
			c.Tree = sum("e")
			l.Plugins["ts-proto"]["2.7.2"].Platforms["linux-x86_64"] = c
		}, "ts-proto 2.7.2: a different tree from the same files on linux-x86_64"},
		{"another binary", func(l *lock.Lock) {
			c := l.Plugins["acme-lint"]["1.4.0"].Platforms["linux-x86_64"]
			c.Binary = "bin/other"
			l.Plugins["acme-lint"]["1.4.0"].Platforms["linux-x86_64"] = c
		}, "acme-lint 1.4.0: binary for linux-x86_64 bin/lint -> bin/other"},
		{"emulated", func(l *lock.Lock) {
			l.Plugins["acme-lint"]["1.4.0"].Platforms["macos-x86_64"] = lock.Cell{Emulate: "linux-x86_64"}
		}, "acme-lint 1.4.0: platform macos-x86_64 now emulated by linux-x86_64"},
	} {
		var lines []string
		for _, c := range Locks(sample(), edited(tt.edit)) {
			lines = append(lines, c.String())
		}
		got := strings.Join(lines, "\n")
		if got != tt.want && (tt.want == "" || !strings.HasPrefix(got, tt.want)) {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
		}
		if back := Locks(edited(tt.edit), sample()); (len(back) == 0) != (tt.want == "") {
			t.Errorf("%s: the other way %v", tt.name, back)
		}
	}
}

// TestCompareAll: what differs in print differs in words, whatever it is.
func TestCompareAll(t *testing.T) {
	n := 0
	old := sample()
	for _, name := range slices.Sorted(maps.Keys(old.Plugins)) {
		for version, v := range old.Plugins[name] {
			for key := range v.Files {
				l := sample()
				f := l.Plugins[name][version].Files[key]
				f.SHA256 = sum("f")
				l.Plugins[name][version].Files[key] = f
				if c := Locks(old, l); len(c) != 1 || len(c[0].Replaced) == 0 {
					t.Errorf("%s %s: other bytes of %s give %v", name, version, key, c)
				}
				n++
			}
		}
	}
	if n < 4 {
		t.Errorf("%d files", n)
	}
}
