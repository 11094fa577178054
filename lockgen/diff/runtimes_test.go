package diff

import (
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// runtimeLock is a lock with one runtime.
func runtimeLock(t *testing.T, name, version, tree string) *lock.Lock {
	t.Helper()
	digit := func(s string) string { return strings.Repeat(s, 64) }
	v := &lock.Version{
		Source: lock.Pip, Package: name, Trust: "registry", Language: "python", Python: []string{"3.12"}, Platforms: lock.EveryPlatform(lock.Cell{Tree: digit(tree)}),
		Files: map[string]lock.File{name + "-" + version + "-py3-none-any.whl": {SHA256: digit(tree), Size: 1}},
	}
	l := &lock.Lock{Schema: lock.Schema, Plugins: map[string]map[string]*lock.Version{lock.RuntimeEntry("python", name): {version: v}}}
	if err := l.Validate(); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestRuntimes: runtimes are compared and merged like plugins.
func TestRuntimes(t *testing.T) {
	t.Parallel()
	old, now, other := runtimeLock(t, "grpcio", "1.0", "1"), runtimeLock(t, "grpcio", "1.1", "2"), runtimeLock(t, "protobuf", "6.0", "3")
	if changes := Locks(old, old); len(changes) != 0 {
		t.Errorf("%v", changes)
	}
	if changes := Locks(old, now); len(changes) != 1 || changes[0].Plugin != "runtimes/python/grpcio" || changes[0].From != "1.0" || changes[0].To != "1.1" {
		t.Errorf("%v", changes)
	}
	none := &lock.Lock{Schema: lock.Schema}
	text, conflicts := Merge(none, old, other)
	if len(conflicts) > 0 || !strings.Contains(string(text), "[runtimes.python.grpcio.") || !strings.Contains(string(text), "[runtimes.python.protobuf.") {
		t.Errorf("%v\n%s", conflicts, text)
	}
	if l, err := lock.Parse("merged", text); err != nil || len(l.Plugins) != 2 {
		t.Error(err)
	}
	if text, conflicts := Merge(none, old, now); len(conflicts) == 0 || !strings.Contains(string(text), "<<<<<<< ours\n\n[runtimes.python.grpcio.") {
		t.Errorf("%v\n%s", conflicts, text)
	}
}
