package plan

import (
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// TestRenamedProgram: where the program of a crate got another name, the version
// says which one it is.
func TestRenamedProgram(t *testing.T) {
	for version, want := range map[string]string{"3.4.0": "bin/protoc-gen-rust", "3.7.2": "bin/protoc-gen-rs", "4.33.0": ""} {
		m, err := manifest.Parse("plugins.toml", []byte("platforms = [\"linux-x86_64\"]\n[plugins]\nprotobuf-codegen = \""+version+"\"\n"))
		if err != nil {
			t.Fatal(err)
		}
		wants, err := Wants(m, nil)
		if want == "" {
			if fault.Of(err) != fault.Usage || !strings.Contains(err.Error(), "another project under the same name") {
				t.Errorf("%s: %v", version, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := wants[0].Binaries(lock.Platforms[0]); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v, expected %s", version, got, want)
		}
	}
}

func TestNamed(t *testing.T) {
	for file, want := range map[string]bool{
		"node_modules/x/protoc-gen-x": true, "node_modules/x/bin/protoc-gen-x.js": true, "node_modules/x/protoc-gen-x.mjs": true,
		"node_modules/x/cli.js": false, "node_modules/x/protoc-gen-x2": false, "node_modules/x/protoc-gen": false, "js": false,
	} {
		if got := TellsBin(file, "protoc-gen-x"); got != want {
			t.Errorf("%s: %v, want %v", file, got, want)
		}
	}
}

// TestScheme: a source may number a plugin otherwise.
func TestScheme(t *testing.T) {
	t.Parallel()
	w := &Want{Spec: manifest.Spec{Scheme: "4.{version}"}}
	if got := w.Upstream("36.2"); got != "4.36.2" {
		t.Errorf("36.2 is %s there", got)
	}
	var ours []string
	for _, r := range w.Ours([]Release{{Version: "3.25.1"}, {Version: "4."}, {Version: "4.36.2"}, {Version: "21.0-rc-1"}}) {
		ours = append(ours, r.Version)
	}
	if strings.Join(ours, " ") != "36.2" {
		t.Errorf("%q", ours)
	}
	if v := (&Want{}).Upstream("36.2"); v != "36.2" {
		t.Error(v)
	}
}
