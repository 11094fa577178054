package diff

import (
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// digest is a digest of one digit.
func digest(digit string) string { return strings.Repeat(digit, 64) }

// oneProtos is a locked proto package.
func oneProtos(name, version, tree string) *lock.Version {
	return &lock.Version{
		Source: lock.HTTP, Trust: "first-use", Folders: map[string]lock.Folder{name: {Files: []string{"a.proto"}}}, Platforms: lock.EveryPlatform(lock.Cell{Tree: digest(tree)}),
		Files: map[string]lock.File{"a.zip": {URL: "https://example.com/" + version + "/a.zip", Archive: "zip", SHA256: digest(tree), Size: 1}},
	}
}

// oneRuntime is a locked runtime.
func oneRuntime(name, version, tree string) *lock.Version {
	return &lock.Version{
		Source: lock.Pip, Package: name, Trust: "registry", Language: "python", Python: []string{"3.12"}, Platforms: lock.EveryPlatform(lock.Cell{Tree: digest(tree)}),
		Files: map[string]lock.File{name + "-" + version + "-py3-none-any.whl": {SHA256: digest(tree), Size: 1}},
	}
}

// TestEntries: proto packages and runtimes are compared and merged like plugins.
func TestEntries(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		prefix, table string // of the names of entries, and of their tables in the lock
		a, b          string // names
		locked        func(name, version, tree string) *lock.Version
	}{
		{lock.ProtosPrefix, "protos", "acme", "xds", oneProtos},
		{"runtimes/python/", "runtimes.python", "grpcio", "protobuf", oneRuntime},
	} {
		t.Run(tt.table, func(t *testing.T) {
			t.Parallel()
			one := func(name, version, tree string) *lock.Lock {
				l := &lock.Lock{Schema: lock.Schema, Plugins: map[string]map[string]*lock.Version{tt.prefix + name: {version: tt.locked(name, version, tree)}}}
				if err := l.Validate(); err != nil {
					t.Fatal(err)
				}
				return l
			}
			old, now, other := one(tt.a, "1.0.0", "1"), one(tt.a, "1.1.0", "2"), one(tt.b, "6.0.0", "3")
			if changes := Locks(old, old); len(changes) != 0 {
				t.Errorf("%v", changes)
			}
			if changes := Locks(old, now); len(changes) != 1 || changes[0].Plugin != tt.prefix+tt.a || changes[0].From != "1.0.0" || changes[0].To != "1.1.0" {
				t.Errorf("%v", changes)
			}
			none := &lock.Lock{Schema: lock.Schema}
			text, conflicts := Merge(none, old, other)
			if len(conflicts) > 0 || !strings.Contains(string(text), "["+tt.table+"."+tt.a+".") || !strings.Contains(string(text), "["+tt.table+"."+tt.b+".") {
				t.Errorf("%v\n%s", conflicts, text)
			}
			if l, err := lock.Parse("merged", text); err != nil || len(l.Plugins) != 2 {
				t.Error(err)
			}
			if text, conflicts := Merge(none, old, now); len(conflicts) == 0 || !strings.Contains(string(text), "<<<<<<< ours\n\n["+tt.table+"."+tt.a+".") {
				t.Errorf("%v\n%s", conflicts, text)
			}
		})
	}
}
