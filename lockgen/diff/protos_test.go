package diff

import (
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// protosLock is a lock with one proto package.
func protosLock(t *testing.T, name, version, tree string) *lock.Lock {
	t.Helper()
	digit := func(s string) string { return strings.Repeat(s, 64) }
	v := &lock.Version{
		Source: lock.HTTP, Trust: "first-use", Folders: map[string]lock.Folder{"acme": {Files: []string{"a.proto"}}}, Platforms: lock.EveryPlatform(lock.Cell{Tree: digit(tree)}),
		Files: map[string]lock.File{"a.zip": {URL: "https://example.com/" + version + "/a.zip", Archive: "zip", SHA256: digit(tree), Size: 1}},
	}
	l := &lock.Lock{Schema: lock.Schema, Plugins: map[string]map[string]*lock.Version{lock.ProtosPrefix + name: {version: v}}}
	if err := l.Validate(); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestProtos: proto packages are compared and merged like plugins.
func TestProtos(t *testing.T) {
	t.Parallel()
	old, now, other := protosLock(t, "acme", "1.0.0", "1"), protosLock(t, "acme", "1.1.0", "2"), protosLock(t, "xds", "1.0.0", "3")
	if changes := Locks(old, old); len(changes) != 0 {
		t.Errorf("%v", changes)
	}
	if changes := Locks(old, now); len(changes) != 1 || changes[0].Plugin != "protos/acme" || changes[0].From != "1.0.0" || changes[0].To != "1.1.0" {
		t.Errorf("%v", changes)
	}
	none := &lock.Lock{Schema: lock.Schema}
	text, conflicts := Merge(none, old, other)
	if len(conflicts) > 0 || !strings.Contains(string(text), "[protos.acme.") || !strings.Contains(string(text), "[protos.xds.") {
		t.Errorf("%v\n%s", conflicts, text)
	}
	if text, conflicts := Merge(none, old, now); len(conflicts) == 0 || !strings.Contains(string(text), "<<<<<<< ours\n\n[protos.acme.") {
		t.Errorf("%v\n%s", conflicts, text)
	}
}
