package lock

import (
	"strings"
	"testing"
)

// TestCrates: how the crates of a runtime of Rust are compiled is printed and read
// again, and refused where it is not complete.
func TestCrates(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("ab", 32)
	text := header + `schema = 1

[runtimes.rust.tonic."0.14.9"]
args = ["--features", "tls"]
build-scripts = ["macro-1.0.0", "script-1.0.0+build"]
package = "tonic"
source = "cargo"
trust = "registry"

[runtimes.rust.tonic."0.14.9".files]
"macro-1.0.0.crate" = { name = "macro", version = "1.0.0", sha256 = "` + sum + `", size = 1 }
"script-1.0.0+build.crate" = { name = "script", version = "1.0.0+build", sha256 = "` + sum + `", size = 1 }
"tonic-0.14.9.crate" = { name = "tonic", version = "0.14.9", sha256 = "` + sum + `", size = 1 }

[runtimes.rust.tonic."0.14.9".folders]
"macro-1.0.0" = { type = "proc-macro", edition = "2021" }
"script-1.0.0+build" = { called = "other", root = "lib.rs", edition = "2024", script = "build.rs", script-imports = ["macro-1.0.0"] }
"tonic-0.14.9" = { edition = "2021", features = ["default", "tls"], imports = ["macro-1.0.0", "own=script-1.0.0+build linux-x86_64"] }

[runtimes.rust.tonic."0.14.9".platforms]
linux-aarch64 = { unavailable = "no" }
linux-x86_64 = { tree = "` + sum + `" }
macos-aarch64 = { unavailable = "no" }
macos-x86_64 = { unavailable = "no" }
windows-aarch64 = { unavailable = "no" }
windows-x86_64 = { unavailable = "no" }
`
	l, err := Parse("lock", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(Print(l)); got != text {
		t.Errorf("printed\n%s", got)
	}
	for _, tt := range []struct{ old, new, says string }{
		{`imports = ["macro-1.0.0", "own`, `imports = ["gone-1.0.0", "own`, `"gone-1.0.0" is not among the folders`},
		{`build-scripts = ["macro-1.0.0", `, `build-scripts = [`, "what runs code when it is compiled is not among what may"},
		{`edition = "2024"`, `edition = "next"`, "is not a year"},
		{`"macro-1.0.0" = { type = "proc-macro", edition = "2021" }` + "\n", "", "is not among the folders"},
		{`own=script-1.0.0+build linux-x86_64`, `own=script-1.0.0+build beos`, "unknown platform"},
		{`own=script-1.0.0+build linux-x86_64`, `o-n=script-1.0.0+build linux-x86_64`, "is not [NAME=]CRATE-VERSION"},
		{`["default", "tls"]`, `["tls", "default"]`, "features is not sorted"},
		{`root = "lib.rs"`, `root = "../lib.rs"`, `lib.rs"`},
		{`type = "proc-macro"`, `type = "program"`, "is not proc-macro"},
		{`linux-x86_64 = { tree = "` + sum + `" }`, `linux-x86_64 = { binary = "bin/x" }`, "expected one of tree"},
	} {
		if _, err := Parse("lock", []byte(strings.Replace(text, tt.old, tt.new, 1))); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.new, err, tt.says)
		}
	}
}
