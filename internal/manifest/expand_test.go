package manifest

import (
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

func TestExpand(t *testing.T) {
	t.Parallel()
	windows, _ := lock.LookupPlatform("windows-x86_64")
	macos, _ := lock.LookupPlatform("macos-aarch64")
	for _, tt := range []struct {
		template string
		p        lock.Platform
		want     string
	}{
		{"", macos, ""},
		{"plain", macos, "plain"},
		{"{version}", macos, "1.2+3"},
		{"a-{version}-{build}-{os}-{arch}{exe}", windows, "a-1.2+3-3-windows-x86_64.exe"},
		{"a-{goos}-{goarch}{exe}.gz", macos, "a-darwin-arm64.gz"},
		{"{{os}}", macos, "{macos}"},
		{"{unknown}-{os", macos, "{unknown}-{os"},
		{"{os-{os}", macos, "{os-macos"},
		{"}{", macos, "}{"},
		{"{version}", macos, "1.2+3"},
	} {
		if got := Expand(tt.template, "1.2+3", tt.p); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.template, got, tt.want)
		}
	}
	// What a value has in braces stays.
	if got := Expand("{version}{os}", "{os}", macos); got != "{os}macos" {
		t.Error(got)
	}
}
