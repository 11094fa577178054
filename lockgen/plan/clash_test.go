package plan

import (
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

func TestClashes(t *testing.T) {
	t.Parallel()
	const head = "platforms = [\"linux-x86_64\"]\n[plugins]\nnode = \"24.19.0\"\nprotoc-gen-ts = \"0.8.7\"\nprotobuf-ts = \"2.11.1\"\nts-proto = \"2.7.2\"\n"
	const own = "own = { version = \"1\", source = \"https://example.com/{version}/{os}-{arch}.zip\", binary = \"bin/Protoc-Gen-TS.exe\" }\n"
	for _, tt := range []struct {
		text  string
		names []string
		want  []string // parts of the lines, in order
		fails string   // part of the error, "" for none
	}{
		{head, nil, nil, ""},
		{head, []string{"ts-proto"}, nil, ""},
		{head, []string{"protobuf-ts"}, []string{"protobuf-ts and protoc-gen-ts have executables with the same name, protoc-gen-ts: fetch env puts neither on PATH"}, ""},
		{head + "[bundles]\na = [\"protoc-gen-ts\", \"ts-proto\"]\nb = [\"protobuf-ts\", \"protoc-gen-ts\"]\n", nil, nil, "plugins.toml:9: bundle b: protobuf-ts and protoc-gen-ts have executables with the same name, protoc-gen-ts: PATH cannot"},
		{head + "[bundles]\na = [\"protoc-gen-ts\"]\nb = [\"protobuf-ts\"]\n", nil, nil, ""},
		{head + own + "[bundles]\na = [\"protoc-gen-ts\", \"own\", \"protobuf-ts\"]\n", nil, nil, "own and protobuf-ts and protoc-gen-ts have"},
		{head + "[protos]\ngoogleapis = \"1.76.0\"\nprotovalidate = \"1.2.2\"\n", []string{"protos/googleapis", "protos/protovalidate"}, nil, ""},
		{head + own, []string{"own"}, []string{"own and protobuf-ts and protoc-gen-ts have executables with the same name"}, ""},
	} {
		m, err := manifest.Parse("plugins.toml", []byte(tt.text))
		if err != nil {
			t.Fatal(err)
		}
		wants, err := Wants(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckBundles(m, wants); (err == nil) != (tt.fails == "") || err != nil && (fault.Of(err) != fault.Usage || !strings.Contains(err.Error(), tt.fails)) {
			t.Errorf("%v, want %q", err, tt.fails)
		}
		got := Clashes(wants, tt.names)
		if len(got) != len(tt.want) {
			t.Errorf("%v: %q, want %q", tt.names, got, tt.want)
			continue
		}
		for i, part := range tt.want {
			if !strings.Contains(got[i], part) {
				t.Errorf("%q is not in %q", part, got[i])
			}
		}
	}
}
