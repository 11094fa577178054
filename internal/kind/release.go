package kind

import (
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/archive"
)

// release reads a file of kind HTTP or OCI: an archive, or a file with one
// executable, which gets the path of the binary.
var release = Kind{
	options: func(a *Artifact, _ *Content) archive.Options {
		o := archive.Options{Format: a.File.Archive, Release: true, RawName: a.Binary, Exec: func(name string) bool { return name == a.Executable }}
		if o.Format == "" {
			o.Format = "raw"
		}
		if form, ok := strings.CutPrefix(o.Format, "rust."); ok {
			o.Format, o.Place = form, inSysroot
		}
		return o
	},
}

// inSysroot returns the path in a sysroot of a file in an archive of Rust, which
// is made for an installer: each folder in its top folder is a component, and the
// files right below that are the installer's. What compiles is taken: rustc, cargo
// and rust-std-TARGET. The rest, such as 700 MB of documentation, is left out.
func inSysroot(name string) string {
	_, name, _ = strings.Cut(name, "/")
	component, file, _ := strings.Cut(name, "/")
	if component != "rustc" && component != "cargo" && !strings.HasPrefix(component, "rust-std-") || !strings.Contains(file, "/") {
		return ""
	}
	return file
}
