package kind

import (
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

func TestPathInProtos(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		root, only, file, want string
	}{
		{"", "", "a/b.proto", "a/b.proto"},
		{"", "", "a/b.txt", ""},
		{"a", "", "a/b/c.proto", "b/c.proto"},
		{"a", "", "ab/c.proto", ""},
		{"", "google/**", "google/api/x.proto", "google/api/x.proto"},
		{"", "google/**", "grpc/x.proto", ""},
		{"", "google/*", "google/api/x.proto", ""},
		{"", "**/v1/*.proto", "a/b/v1/x.proto", "a/b/v1/x.proto"},
		{"", "!google/protobuf/**", "google/protobuf/any.proto", ""},
		{"", "!google/protobuf/**", "google/api/x.proto", "google/api/x.proto"},
		{"", "** !a/** a/b.proto", "a/b.proto", "a/b.proto"},
		{"", "** !a/** a/b.proto", "a/c.proto", ""},
	} {
		only := strings.Fields(tt.only)
		for _, p := range only {
			if err := syntax.CheckOnly(p); err != nil {
				t.Error(err)
			}
		}
		if got := pathInProtos(tt.root, only, tt.file); got != tt.want {
			t.Errorf("%s of %q in %v: %q, want %q", tt.file, tt.root, only, got, tt.want)
		}
	}
	if slices.ContainsFunc([]string{"/a", "a**", "../a", "", "!", "a/[b]", `a\b`}, func(p string) bool { return syntax.CheckOnly(p) == nil }) {
		t.Error("takes a pattern that is none")
	}
}
