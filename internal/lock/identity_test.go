package lock

import (
	"strings"
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
		err := lock(tt.source, tt.a, tt.b).Consistent("lock")
		if (err == nil) != tt.ok || !tt.ok && fault.Of(err) != fault.Lock {
			t.Errorf("%s %+v %+v: %v", tt.source, tt.a, tt.b, err)
		}
	}
}

// TestCheckRelease: files that tell the version that they are of are locked as
// that version, in every source kind; addresses that tell none are taken.
func TestCheckRelease(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		source, pkg, key string
		f                File
		is               []string // versions as which it may be locked
		other            string   // one as which it may not, "" where nothing is known
		told             string
	}{
		{NPM, "@a/b", "node_modules/@a/b", File{Name: "@a/b", Version: "1.2.3"}, []string{"1.2.3"}, "1.2.4", "1.2.3"},
		{Cargo, "a_b", "a-b-1.2.3.crate", File{Name: "a-b", Version: "1.2.3"}, []string{"1.2.3"}, "1.2.4", "1.2.3"},
		{Pip, "A.b", "a_b-1.2.0-py3-none-any.whl", File{}, []string{"1.2.0", "1.2"}, "1.2.1", "1.2.0"},
		{Pip, "a", "a-2rc1-1-py3-none-any.whl", File{}, []string{"2-rc.1"}, "2", "2rc1"},
		{Go, "h.invalid/a", "h.invalid/a@v1.2.3.zip", File{Name: "h.invalid/a", Version: "1.2.3"}, []string{"1.2.3"}, "1.2.4", "1.2.3"},
		{Go, GoToolchain, "golang.org/toolchain@v0.0.1-go1.26.7.linux-amd64.zip", File{Name: GoToolchain, Version: "0.0.1-go1.26.7.linux-amd64"}, []string{"1.26.7"}, "1.26.8", "1.26.7"},
		{HTTP, "", "a", File{URL: "https://h.invalid/v1.2.3/a-linux.zip"}, []string{"1.2.3"}, "1.2.4", "1.2.3"},
		{HTTP, "", "a", File{URL: "https://h.invalid/a?release=1.2.3"}, []string{"1.2.3"}, "11.2.3", "1.2.3"},
		{HTTP, "", "a", File{URL: "https://h.invalid/r/1.2.3%2Bb4/a"}, []string{"1.2.3+b4", "1.2.3"}, "1.2.5", "1.2.3"},
		{HTTP, "", "a", File{URL: "https://10.0.0.1/gnu2.28/latest/a"}, []string{"1.2.3", "1.2.3.4", "4", "nightly"}, "", ""},
		{OCI, "10.0.1.2:5000/v1.2/a", "a", File{Version: "v1.2.3"}, []string{"1.2.3"}, "1.2.4", "1.2.3"},
		{OCI, "h.invalid/a", "a", File{Version: "latest"}, []string{"1.2.3"}, "", ""},
		{OCI, "h.invalid/a", "a", File{Version: "latest", Name: "a-1.2.3.zip"}, []string{"1.2.3"}, "1.2.4", "1.2.3"},
	} {
		v := &Version{Source: tt.source, Package: tt.pkg, Files: map[string]File{tt.key: tt.f}}
		if tt.source == NPM || tt.source == Cargo { // a package may need another version of itself
			v.Files["other"] = File{Name: tt.pkg, Version: "0.0.1"}
		}
		for _, version := range tt.is {
			if err := v.CheckRelease(version); err != nil {
				t.Errorf("%s %s as %s: %v", tt.source, tt.key, version, err)
			}
		}
		if tt.other == "" {
			continue
		}
		if err := v.CheckRelease(tt.other); err == nil || !strings.Contains(err.Error(), tt.told) {
			t.Errorf("%s %s as %s: %v", tt.source, tt.key, tt.other, err)
		}
	}
}

// TestCheckReleaseUpstream: what a source numbers otherwise is still the version.
func TestCheckReleaseUpstream(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ version, upstream, file, told string }{
		{"36.2", "36.2.0", "36.2.0", ""},
		{"36.2", "4.36.2", "4.36.2", ""},
		{"36.2", "36.2.0", "36.3.0", "36.3.0"},
		{"36.2", "", "36.2.0", "36.2.0"},
		{"36.2", "36.3.0", "36.3.0", "upstream 36.3.0"},
		{"36.2", "136.2", "136.2", "upstream 136.2"},
		{"36.2", "../36.2", "36.2", "upstream"},
	} {
		v := &Version{Source: NPM, Package: "protoc", Upstream: tt.upstream, Files: map[string]File{"node_modules/protoc": {Name: "protoc", Version: tt.file}}}
		err := v.CheckRelease(tt.version)
		if (err == nil) != (tt.told == "") || err != nil && !strings.Contains(err.Error(), tt.told) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}
