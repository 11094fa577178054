package catalog

import (
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

func names(matches []Match) []string {
	var list []string
	for _, m := range matches {
		list = append(list, m.Name)
	}
	return list
}

func TestSearch(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ first, not string }{ // the best ones in order, and what is not found
		"connect":                 {"protoc-gen-connect-es protoc-gen-connect-go protoc-gen-connect-kotlin protoc-gen-connect-openapi protoc-gen-connect-python protoc-gen-connect-query protoc-gen-connect-rust", "ts-proto"},
		"grpc":                    {"protoc-gen-go-grpc protoc-gen-grpc-gateway protoc-gen-grpc-java protoc-gen-grpc-web protoc-gen-mypy_grpc grpc-node grpc_tools_node_protoc_ts", "protoc-gen-prost"},
		"gRPC Python":             {"protoc-gen-mypy_grpc grpcio-tools", "protoc-gen-go-grpc"},
		"python":                  {"python protoc aristaproto betterproto gapic-generator grpclib protoc-gen-connect-python betterproto2 grpcio-tools", "node"},
		"java":                    {"java protoc protoc-gen-grpc-java protoc-gen-validate", "protoc-gen-es"},
		"kotlin":                  {"protoc protoc-gen-connect-kotlin protoc-gen-grpc-kotlin", "protoc-gen-go"},
		"c++":                     {"protoc protoc-gen-validate", "protoc-gen-connect-es"},
		"js":                      {"protoc-gen-js protoc-gen-es protoc-gen-grpc-web grpc-node", "protoc-gen-elm"},
		"npm:ts-proto":            {"ts-proto", "protoc-gen-go"},
		"@bufbuild/protoc-gen-es": {"protoc-gen-es", "ts-proto"},
		"cargo":                   {"protoc-gen-prost protoc-gen-prost-crate protoc-gen-prost-serde protoc-gen-tonic protobuf-codegen", "protoc-gen-go"},
		"openapi":                 {"protoc-gen-connect-openapi protoc-gen-openapi protoc-gen-openapiv2", "buf"},
		"valid":                   {"protoc-gen-govalidators protoc-gen-validate", "protoc"},
		"stubs":                   {"mypy-protobuf protoc-gen-mypy_grpc", "protoc"},
		"dart":                    {"", "protoc"},
		"go nothing":              {"", "go"},
		"":                        {strings.Join(Builtin().Names(), " "), ""},
	} {
		got := names(Builtin().Search(text))
		first := strings.Fields(want.first)
		if len(got) < len(first) || !slices.Equal(got[:len(first)], first) || want.first == "" && len(got) > 0 || slices.Contains(got, want.not) {
			t.Errorf("%q finds %v, want first %v, and not %s", text, got, first, want.not)
		}
	}
}

// TestUnknownProposes: a name that is not known is answered with what it may mean,
// and never with all names.
func TestUnknownProposes(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		parts []string
		not   string
	}{
		"connect":             {[]string{"did you mean one of these?\nprotoc-gen-connect-es ", "\nprotoc-gen-connect-go ", "\nprotoc-gen-connect-openapi "}, "ts-proto"},
		"protoc-gen-connect":  {[]string{"\nprotoc-gen-connect-go       Connect services for Go"}, "ts-proto"},
		"grpc":                {[]string{"protoc-gen-go-grpc ", "more: lockgen search grpc"}, "ts-proto"},
		"js":                  {[]string{"\nprotoc-gen-es ", "\nprotoc-gen-js "}, "protoc-gen-go"},
		"fortran":             {[]string{"[plugins.fortran]", "lockgen search"}, "ts-proto"},
		"protoc-gen-x":        {[]string{"[plugins.protoc-gen-x]"}, "protoc-gen-es"},
		"protoc-gen-gp":       {[]string{"did you mean protoc-gen-go?"}, "protoc-gen-es"},
		"protoc-gen-python":   {[]string{"there is no plugin protoc-gen-python: protoc makes python itself: --python_out", "write protoc", "\nbetterproto2 "}, "unknown"},
		"protoc-gen-kotlin":   {[]string{"protoc makes kotlin itself: --kotlin_out", "\nprotoc-gen-grpc-kotlin "}, "unknown"},
		"protoc-gen-objc":     {[]string{"protoc makes objc itself: --objc_out"}, "besides"},
		"protoc-gen-cpp":      {[]string{"--cpp_out"}, "--cc_out"},
		"ruby":                {[]string{"makes ruby itself: --ruby_out"}, "ts-proto"},
		"proto-gen-go":        {[]string{"did you mean protoc-gen-go?"}, "protoc-gen-es"},
		"mypy-grpc-proto-gen": {[]string{"did you mean protoc-gen-mypy_grpc (type stubs"}, "lockgen search"},
		"acme-lint":           {[]string{"[plugins.acme-lint]", "lockgen search"}, "did you mean"},
	} {
		err := Builtin().Unknown(name)
		all := err.Error() + "; " + fault.Hint(err)
		for _, part := range want.parts {
			if fault.Of(err) != fault.Usage || !strings.Contains(all, part) || strings.Contains(all, want.not) || strings.Count(all, "\n") > 9 {
				t.Errorf("%s: want %q, and not %q:\n%s", name, part, want.not, all)
			}
		}
	}
}

// TestNearest: only a slip of the hand is a misspelt name; another language or
// version is another thing.
func TestNearest(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"protoc-gen-gp": "protoc-gen-go", "protoc-gen-es": "protoc-gen-es", "protoc-gen-openapo": "protoc-gen-openapi", "ts-prtoo": "ts-proto",
		"protoc-gen-rb": "", "protoc-gen-rs": "", "protoc-gen-cs": "", "protoc-gen-py3": "", "protoc-gen-openapiv4": "", "protoc-gen-dart": "",
	} {
		if got := Builtin().Nearest(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
