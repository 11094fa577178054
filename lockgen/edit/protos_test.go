package edit

import (
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

const (
	protosHead = "platforms = [\"linux-x86_64\"]\n[plugins]\n"
	protosText = protosHead + `
[protos]
googleapis = "1.76.0"

[protos.acme]
version = "^3"
source = "github:acme/protos"
asset = "protos-{version}.tar.gz"
`
)

// TestProtosEdit: commands edit [protos] as they edit [plugins].
func TestProtosEdit(t *testing.T) {
	t.Parallel()
	edited, err := SetVersion("plugins.toml", []byte(protosText), "protos/googleapis", "1.76.0", "1.77.0")
	if err != nil || string(edited) != strings.Replace(protosText, "1.76.0", "1.77.0", 1) {
		t.Errorf("%v\n%s", err, edited)
	}
	edited, err = SetVersion("plugins.toml", []byte(protosText), "protos/acme", "^3", "^4")
	if err != nil || string(edited) != strings.Replace(protosText, "^3", "^4", 1) {
		t.Errorf("%v\n%s", err, edited)
	}
	edited, err = AddPlugin("plugins.toml", []byte(protosText), "protos/xds", &manifest.Plugin{Versions: []string{"1"}, Protos: &manifest.Protos{}})
	if err != nil || !strings.Contains(string(edited), "googleapis = \"1.76.0\"\nxds = \"1\"\n") {
		t.Errorf("%v\n%s", err, edited)
	}
	edited, err = AddPlugin("plugins.toml", []byte(protosHead), "protos/xds", &manifest.Plugin{Versions: []string{"1"}, Protos: &manifest.Protos{}})
	if err != nil || !strings.Contains(string(edited), "[protos]\nxds = \"1\"\n") {
		t.Errorf("%v\n%s", err, edited)
	}
	edited, _, err = RemoveVersion("plugins.toml", []byte(protosText), "protos/acme", "")
	if err != nil || strings.Contains(string(edited), "acme") || !strings.Contains(string(edited), "googleapis") {
		t.Errorf("%v\n%s", err, edited)
	}
}
