package plan

import (
	"strings"
	"testing"

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
	}{
		{head, nil, nil},
		{head, []string{"ts-proto"}, nil},
		{head, []string{"protobuf-ts"}, []string{"protobuf-ts and protoc-gen-ts have an executable of one name, protoc-gen-ts: fetch env puts neither on PATH"}},
		{head + "[bundles]\na = [\"protoc-gen-ts\", \"ts-proto\"]\nb = [\"protobuf-ts\", \"protoc-gen-ts\"]\n", []string{"protobuf-ts"}, []string{"plugins.toml:9: protobuf-ts and protoc-gen-ts have an executable of one name, protoc-gen-ts: fetch bundle b"}},
		{head + own, []string{"own"}, []string{"own and protobuf-ts and protoc-gen-ts have an executable of one name"}},
	} {
		m, err := manifest.Parse("plugins.toml", []byte(tt.text))
		if err != nil {
			t.Fatal(err)
		}
		wants, err := Wants(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := Clashes(m, wants, tt.names)
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
