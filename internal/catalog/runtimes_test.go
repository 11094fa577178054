package catalog

import (
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestBounds: which versions of a library run the code of a version of a plugin.
func TestBounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ language, library, plugin, version, least, below string }{
		{"python", "protobuf", "protoc", "30.2", "6.30.2", "8"},
		{"python", "protobuf", "protoc", "29.3", "5.29.3", "7"},
		{"python", "grpcio", "grpcio-tools", "1.72.1", "1.72.1", "2"},
		{"java", "com.google.protobuf:protobuf-java", "protoc", "30.2", "4.30.2", "5"},
		{"java", "com.google.protobuf:protobuf-java", "protoc", "25.1", "3.25.1", "4"},
		{"java", "io.grpc:grpc-stub", "protoc-gen-grpc-java", "1.76.0", "1.76.0", "2"},
		{"go", "google.golang.org/protobuf", "protoc-gen-go", "1.36.6", "1.36.6", "2"},
		{"go", "google.golang.org/grpc", "protoc-gen-go-grpc", "1.6.2", "1.64.0", "2"},
		{"go", "connectrpc.com/connect", "protoc-gen-connect-go", "1.18.1", "1.18.1", "2"},
		{"rust", "prost-types", "protoc-gen-prost", "0.4.0", "0.13.1", "0.14"},
		{"typescript", "@bufbuild/protobuf", "protoc-gen-es", "1.10.0", "1.10.0", "2"},
		{"typescript", "@bufbuild/protobuf", "protoc-gen-es", "2.6.0-beta.1", "2.6.0", "3"},
		{"typescript", "@bufbuild/protobuf", "ts-proto", "1.181.2", "", ""},
		{"typescript", "@bufbuild/protobuf", "ts-proto", "2.7.2", "2.0.0", "3"},
		{"typescript", "protobufjs", "ts-proto", "1.181.2", "7.0.0", "8"},
		{"typescript", "protobufjs", "ts-proto", "3.0.0", "", ""},
		{"typescript", "@connectrpc/connect", "protoc-gen-connect-es", "1.6.1", "1.6.1", "2"},
		{"typescript", "@connectrpc/connect", "protoc-gen-es", "2.17.0", "2.0.0", "3"},
		{"typescript", "@connectrpc/connect-node", "protoc-gen-es", "1.10.0", "1.0.0", "2"},
		{"rust", "prost", "protoc-gen-prost", "0.5.0", "0.14.1", "0.15"},
		{"rust", "prost", "protoc-gen-prost", "0.2.1", "0.11.0", "0.12"},
		{"rust", "prost", "protoc-gen-prost", "0.2.3", "0.11.8", "0.12"},
		{"rust", "tonic-prost", "protoc-gen-tonic", "0.5.0", "0.14.1", "0.15"},
		{"rust", "serde", "protoc-gen-prost-serde", "0.4.0", "1.0.0", "2"},
		{"rust", "buffa", "protoc-gen-buffa", "0.9.2", "0.9.2", "0.10"},
		{"rust", "protobuf", "protobuf-codegen", "3.7.2", "3.7.2", "3.7.3"},
	} {
		r, _ := Builtin().Runtime(tt.language, Builtin().RuntimeOf(tt.language, tt.library))
		found := false
		for _, f := range r.Fits {
			if f.Plugin != tt.plugin {
				continue
			}
			found = true
			if least, below, err := f.Bounds(tt.version); err != nil || least != tt.least || below != tt.below {
				t.Errorf("%s of %s %s: %q, before %q: %v", tt.library, tt.plugin, tt.version, least, below, err)
			}
		}
		if !found {
			t.Errorf("%s says nothing of %s", tt.library, tt.plugin)
		}
	}
	for _, version := range []string{"3.19.4", "0.9.0", "x"} {
		for _, library := range []string{"protobuf"} {
			r, _ := Builtin().Runtime("python", library)
			if _, _, err := r.Fits[0].Bounds(version); fault.Of(err) != fault.Usage || fault.Hint(err) == "" {
				t.Errorf("%s of protoc %s: %v", library, version, err)
			}
		}
	}
}
