package change

import "testing"

// TestSplitSpec: what add is given is a name or a place, with a version or without.
func TestSplitSpec(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		"ts-proto":                                      "ts-proto||name",
		"ts-proto@2.7.2":                                "ts-proto|2.7.2|name",
		"ts-proto@>=1 <3":                               "ts-proto|>=1 <3|name",
		"npm:ts-proto":                                  "npm:ts-proto||place",
		"npm:ts-proto@^2":                               "npm:ts-proto|^2|place",
		"npm:@bufbuild/protoc-gen-es":                   "npm:@bufbuild/protoc-gen-es||place",
		"npm:@bufbuild/protoc-gen-es@2.17.0":            "npm:@bufbuild/protoc-gen-es|2.17.0|place",
		"@bufbuild/protoc-gen-es":                       "npm:@bufbuild/protoc-gen-es||place",
		"@bufbuild/protoc-gen-es@2.17.0":                "npm:@bufbuild/protoc-gen-es|2.17.0|place",
		"go:example.com/a/cmd/b@v1.2.3":                 "go:example.com/a/cmd/b|1.2.3|place",
		"google.golang.org/protobuf/cmd/protoc-gen-go":  "go:google.golang.org/protobuf/cmd/protoc-gen-go||place",
		"google.golang.org/grpc/cmd/x@latest":           "go:google.golang.org/grpc/cmd/x|latest|place",
		"github:acme/x@v1.0.0":                          "github:acme/x|1.0.0|place",
		"github:acme/x":                                 "github:acme/x||place",
		"cargo:protoc-gen-prost@0.5.0":                  "cargo:protoc-gen-prost|0.5.0|place",
		"oci://example.com/acme/x:v1.0.0":               "oci://example.com/acme/x:v1.0.0||place",
		"https://example.com/v{version}/x-{os}-{arch}@": "https://example.com/v{version}/x-{os}-{arch}||place",
	} {
		name, version, place := splitSpec(spec)
		got := name + "|" + version + "|name"
		if place {
			got = name + "|" + version + "|place"
		}
		if got != want {
			t.Errorf("%s is %s, want %s", spec, got, want)
		}
	}
}
