package kind

import "github.com/birbparty/buck2-protobuf/internal/archive"

// release reads a file of kind HTTP or OCI: an archive, or a file with one
// executable, which gets the path of the binary.
var release = Kind{
	options: func(a *Artifact, _ *Content) archive.Options {
		o := archive.Options{Format: a.File.Archive, Release: true, RawName: a.Binary, Exec: func(name string) bool { return name == a.Executable }}
		if o.Format == "" {
			o.Format = "raw"
		}
		return o
	},
}
