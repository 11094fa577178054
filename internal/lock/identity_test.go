package lock

import (
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestConsistent: what two plugins share has one digest.
func TestConsistent(t *testing.T) {
	t.Parallel()
	lock := func(source string, a, b File) *Lock {
		version := func(f File) map[string]*Version {
			return map[string]*Version{"1.0": {Source: source, Package: "p", Files: map[string]File{"k": f}}}
		}
		return &Lock{Plugins: map[string]map[string]*Version{"a": version(a), "b": version(b)}}
	}
	for _, tt := range []struct {
		source string
		a, b   File
		ok     bool
	}{
		{NPM, File{Name: "x", Version: "1", SHA256: "1"}, File{Name: "x", Version: "1", SHA256: "1"}, true},
		{NPM, File{Name: "x", Version: "1", SHA256: "1"}, File{Name: "x", Version: "1", SHA256: "2"}, false},
		{NPM, File{Name: "x", Version: "1", SHA256: "1"}, File{Name: "x", Version: "2", SHA256: "2"}, true},
		{Cargo, File{Name: "x", Version: "1", SHA256: "1"}, File{Name: "x", Version: "1", SHA256: "1", Size: 2}, false},
		{Pip, File{SHA256: "1"}, File{SHA256: "2"}, false},
		{HTTP, File{URL: "u", SHA256: "1"}, File{URL: "u", SHA256: "2"}, false},
		{HTTP, File{URL: "u", SHA256: "1"}, File{URL: "v", SHA256: "2"}, true},
		{OCI, File{Version: "v1", SHA256: "1"}, File{Version: "v1", SHA256: "2"}, false},
		{Go, File{SHA256: "1", Integrity: "h1:a"}, File{SHA256: "2", Integrity: "h1:a"}, true},
		{Go, File{SHA256: "1", Integrity: "h1:a"}, File{SHA256: "1", Integrity: "h1:b"}, false},
	} {
		err := lock(tt.source, tt.a, tt.b).Consistent()
		if (err == nil) != tt.ok || !tt.ok && fault.Of(err) != fault.Lock {
			t.Errorf("%s %+v %+v: %v", tt.source, tt.a, tt.b, err)
		}
	}
}
